//! A thread that closes files and takes mappings back.
//!
//! The last one to close a file whose name is gone, and whoever takes a mapping back, does the kernel's
//! work for each of its pages: for a gigabyte that is a quarter of a second, in which the event loop would
//! serve nobody. With a [`Closer`], another thread of the process does it.
//!
//! ```
//! use dormouse::Settings;
//! use dormouse::closer::Closer;
//!
//! let mut settings = Settings::default();
//! settings.closer = Closer::start(|| Ok::<_, std::io::Error>(()))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt::{self, Debug};
use std::io;
use std::sync::mpsc::{SyncSender, channel, sync_channel};
use std::thread::Builder;

/// Things that may wait for the thread. Whoever has one more lets go of it himself.
const QUEUE: usize = 64;
/// Bytes of stack: closing needs little, and confining a thread some more.
const STACK: usize = 128 << 10;

/// The thread runs it. If it is dropped instead, what it owns is let go of all the same.
type Job = Box<dyn FnOnce() + Send>;

/// A handle to the thread, which ends with the last handle. By default there is no thread, and whoever lets
/// go of something takes the time for it.
#[derive(Clone, Default)]
pub struct Closer(Option<SyncSender<Job>>);

impl Closer {
    /// Starts the thread, which runs `confine` first: a process that enters a sandbox has each of its threads
    /// do so.
    ///
    /// # Errors
    /// The thread cannot be started, or `confine` fails.
    pub fn start<E>(
        confine: impl FnOnce() -> Result<(), E> + Send + 'static,
    ) -> Result<Self, StartError<E>>
    where
        E: Send + 'static,
    {
        let (jobs, queue) = sync_channel::<Job>(QUEUE);
        let (confined, result) = channel();
        let life = move || {
            let outcome = confine();
            let goes_on = outcome.is_ok();
            if confined.send(outcome).is_err() || !goes_on {
                return;
            }
            drop(confined);
            queue.into_iter().for_each(|job| job());
        };
        Builder::new()
            .name("closer".to_owned())
            .stack_size(STACK)
            .spawn(life)
            .map_err(StartError::Thread)?;
        match result.recv() {
            Ok(Ok(())) => Ok(Self(Some(jobs))),
            Ok(Err(error)) => Err(StartError::Confine(error)),
            Err(_) => Err(StartError::Thread(io::Error::other("it panicked"))),
        }
    }

    /// Has the thread let go of something in its own way. Without a thread, or if it has very much to do,
    /// it is dropped at once.
    pub(crate) fn close<T: Send + 'static>(&self, owned: T, let_go: fn(T)) {
        if let Some(jobs) = &self.0 {
            // What is refused comes back, and ends here.
            let _ = jobs.try_send(Box::new(move || let_go(owned)));
        }
    }
}

impl Debug for Closer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let thread = self.0.is_some();
        f.debug_struct("Closer").field("thread", &thread).finish()
    }
}

/// An error of starting the thread.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError<E> {
    /// There are too many threads, or there is too little memory.
    #[error("the thread that closes files cannot be started: {0}")]
    Thread(#[source] io::Error),
    /// The thread could not be confined.
    #[error(transparent)]
    Confine(E),
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::mpsc::{Receiver, Sender};
    use std::thread;

    use super::*;

    /// A closer whose thread does nothing until the sender sends or is dropped.
    pub(crate) fn blocked() -> (Closer, Sender<()>) {
        let closer = Closer::start(|| Ok::<_, io::Error>(())).unwrap();
        let (unblock, wait) = channel();
        let (begun, waits) = channel();
        closer.close(
            (begun, wait),
            |(begun, wait): (Sender<()>, Receiver<()>)| {
                begun.send(()).unwrap();
                wait.recv().ok();
            },
        );
        waits.recv().unwrap();
        (closer, unblock)
    }

    /// Tells by which thread it was dropped.
    struct Owned(usize, Sender<(usize, thread::ThreadId)>);

    impl Drop for Owned {
        fn drop(&mut self) {
            self.1.send((self.0, thread::current().id())).unwrap();
        }
    }

    #[test]
    fn the_thread_lets_go_of_a_bounded_number_of_things_in_order() {
        let here = thread::current().id();
        let (closer, unblock) = blocked();
        let (gone, dropped) = channel();
        for number in 0..=QUEUE {
            closer.close(Owned(number, gone.clone()), drop);
        }
        assert_eq!(dropped.try_recv().unwrap(), (QUEUE, here));
        assert!(dropped.try_recv().is_err());
        unblock.send(()).unwrap();
        for number in 0..QUEUE {
            let (next, thread) = dropped.recv().unwrap();
            assert_eq!(next, number);
            assert_ne!(thread, here);
        }
    }

    #[test]
    fn without_a_thread_things_go_at_once() {
        let (gone, dropped) = channel();
        Closer::default().close(Owned(7, gone), |_| panic!("it is simply dropped"));
        assert_eq!(dropped.recv().unwrap(), (7, thread::current().id()));
    }

    #[test]
    fn a_thread_that_cannot_be_confined_is_not_used() {
        let refused = || Err(io::Error::other("no"));
        let error = Closer::start(refused).unwrap_err();
        assert!(matches!(error, StartError::Confine(_)), "{error}");
    }
}
