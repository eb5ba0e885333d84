//! Memory that nobody needs any more.

use std::fmt;
use std::sync::Arc;

/// Bytes from which the system needs a while to take memory back.
const LARGE: usize = 4 << 20;

/// A way to give large memory back to the system without waiting for that, for example by another thread.
/// By default, whoever drops the memory waits.
#[derive(Clone, Default)]
pub struct Release(Option<Arc<dyn Fn(Vec<u8>) + Send + Sync>>);

impl Release {
    /// Creates a way that passes large memory to `take`.
    pub fn new(take: impl Fn(Vec<u8>) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(take)))
    }

    /// Gives memory back.
    pub(super) fn give(&self, bytes: Vec<u8>) {
        if let Some(take) = self.0.as_ref().filter(|_| bytes.capacity() >= LARGE) {
            take(bytes);
        }
    }
}

impl fmt::Debug for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Release").field(&self.0.is_some()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::super::memory::{BarMemory, PrivateMemory};
    use super::*;

    #[test]
    fn large_memory_goes_that_way_and_small_memory_at_once() {
        let (given, released) = channel();
        let release = Release::new(move |bytes: Vec<u8>| given.send(bytes.len()).unwrap());
        let filled = |size: u64| {
            let mut memory = PrivateMemory::new(size);
            memory.set_release(&release);
            memory.write(0, &[1]);
            memory
        };
        drop(filled(LARGE as u64 - 1));
        assert!(released.try_recv().is_err());

        drop(filled(LARGE as u64));
        assert_eq!(released.try_recv().unwrap(), LARGE);

        let mut memory = filled(LARGE as u64);
        memory.reset(0x1000);
        assert_eq!(released.try_recv().unwrap(), LARGE);
        memory.adopt(filled(LARGE as u64)).unwrap();
        memory.adopt(PrivateMemory::new(0x1000)).unwrap();
        assert_eq!(released.try_recv().unwrap(), LARGE);
        assert!(released.try_recv().is_err());
    }
}
