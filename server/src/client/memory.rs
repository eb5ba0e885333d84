//! The memory of a client that the server reaches with DMA_READ and DMA_WRITE.

use vfio_user_protocol::Errno;

/// Memory of a client that is mapped without a file, by DMA address.
///
/// ```
/// use dormouse::client::{Memory, Ram};
/// use dormouse::protocol::Errno;
///
/// let mut ram = Ram::new(0x1000, 4096);
/// ram.write(0x1ffc, &[1, 2, 3, 4])?;
/// assert_eq!(ram.write(0x1ffd, &[1, 2, 3, 4]), Err(Errno::EFAULT));
/// # Ok::<(), Errno>(())
/// ```
pub trait Memory {
    /// Fills `data` with the memory from `address` on.
    ///
    /// # Errors
    /// The error number for the reply.
    fn read(&mut self, address: u64, data: &mut [u8]) -> Result<(), Errno>;

    /// Writes `data` to the memory from `address` on.
    ///
    /// # Errors
    /// The error number for the reply.
    fn write(&mut self, address: u64, data: &[u8]) -> Result<(), Errno>;
}

/// No memory: every access is EFAULT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoMemory;

impl Memory for NoMemory {
    fn read(&mut self, _address: u64, _data: &mut [u8]) -> Result<(), Errno> {
        Err(Errno::EFAULT)
    }

    fn write(&mut self, _address: u64, _data: &[u8]) -> Result<(), Errno> {
        Err(Errno::EFAULT)
    }
}

/// One range of memory. Accesses that are not wholly inside it are EFAULT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ram {
    /// The DMA address of the first byte.
    pub address: u64,
    /// The contents.
    pub bytes: Vec<u8>,
}

impl Ram {
    /// Creates `size` bytes of zeroes from the DMA address `address` on.
    #[must_use]
    pub fn new(address: u64, size: usize) -> Self {
        Self {
            address,
            bytes: vec![0; size],
        }
    }

    fn range(&mut self, address: u64, length: usize) -> Result<&mut [u8], Errno> {
        let start = address.checked_sub(self.address);
        let start = start.and_then(|start| usize::try_from(start).ok());
        let end = start.and_then(|start| start.checked_add(length));
        let range = start.zip(end).map(|(start, end)| start..end);
        range
            .and_then(|range| self.bytes.get_mut(range))
            .ok_or(Errno::EFAULT)
    }
}

impl Memory for Ram {
    fn read(&mut self, address: u64, data: &mut [u8]) -> Result<(), Errno> {
        data.copy_from_slice(self.range(address, data.len())?);
        Ok(())
    }

    fn write(&mut self, address: u64, data: &[u8]) -> Result<(), Errno> {
        self.range(address, data.len())?.copy_from_slice(data);
        Ok(())
    }
}
