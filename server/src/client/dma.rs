//! Memory that the device may reach.

use std::os::fd::BorrowedFd;

use vfio_user_protocol::Command;
use vfio_user_protocol::messages::dma_map;
use vfio_user_protocol::messages::dma_unmap::{self, BitmapRequest, Target};
use vfio_user_protocol::vfio::DmaMapFlags;

use super::{Client, ClientError, Memory};

impl<M: Memory> Client<M> {
    /// Maps DMA addresses without a file, for reading and writing. The server reaches them with DMA_READ
    /// and DMA_WRITE, which are answered from the [memory](Self::memory).
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use dormouse::client::Ram;
    /// use dormouse::testing::Function;
    ///
    /// let served = Function::profile("testdev").start()?;
    /// let mut client = served.client()?.with_memory(Ram::new(0, 0x2000));
    /// client.map(0, 0x2000)?;
    /// client.memory_mut().bytes[..4].copy_from_slice(b"ping");
    /// // Memory space and bus mastering on; copy 4 bytes from address 0 to 0x1000, once.
    /// client.write_u16(7, 0x04, 0x0006)?;
    /// for (register, value) in [(0x20, 0), (0x28, 0x1000), (0x30, 4), (0x34, 1), (0x38, 1)] {
    ///     client.write_u32(0, register, value)?;
    /// }
    /// // A write may be answered before the copy that it starts is done.
    /// client.serve_dma(Duration::from_millis(100))?;
    /// assert_eq!(&client.memory().bytes[0x1000..0x1004], b"ping");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The server refuses the map, or another [`ClientError`].
    pub fn map(&mut self, address: u64, size: u64) -> Result<(), ClientError> {
        self.map_file(
            &dma_map::Request {
                flags: DmaMapFlags::READ | DmaMapFlags::WRITE,
                offset: 0,
                address,
                size,
            },
            None,
        )
    }

    /// Maps DMA addresses as `request` says, to a file if there is one.
    ///
    /// # Errors
    /// The server refuses the map, or another [`ClientError`].
    pub fn map_file(
        &mut self,
        request: &dma_map::Request,
        file: Option<BorrowedFd<'_>>,
    ) -> Result<(), ClientError> {
        self.request(Command::DmaMap, file.as_slice(), |body| {
            request.encode(body);
        })
        .map(drop)
    }

    /// Removes the maps inside a range of DMA addresses.
    ///
    /// # Errors
    /// The server refuses the range, or another [`ClientError`].
    pub fn unmap(&mut self, address: u64, size: u64) -> Result<(), ClientError> {
        let target = Target::Range { address, size };
        self.send_unmap(target, None).map(drop)
    }

    /// Removes every map.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn unmap_all(&mut self) -> Result<(), ClientError> {
        self.send_unmap(Target::All, None).map(drop)
    }

    /// Removes the maps inside a range, and returns the bitmap of the pages in it that the device has
    /// written.
    ///
    /// # Errors
    /// The server refuses the range or the bitmap, or another [`ClientError`].
    pub fn unmap_with_bitmap(
        &mut self,
        address: u64,
        size: u64,
        bitmap: BitmapRequest,
    ) -> Result<Vec<u8>, ClientError> {
        self.send_unmap(Target::Range { address, size }, Some(bitmap))
    }

    fn send_unmap(
        &mut self,
        target: Target,
        bitmap: Option<BitmapRequest>,
    ) -> Result<Vec<u8>, ClientError> {
        let command = Command::DmaUnmap;
        let request = dma_unmap::Request { target, bitmap };
        let answer = self.request(command, &[], |body| request.encode(body))?;
        let Some(wanted) = bitmap else {
            return Ok(Vec::new());
        };
        let reply = dma_unmap::Reply::parse(&answer.payload)?;
        let bitmap = (reply.bitmap).filter(|came| came.data.len() as u64 == wanted.size);
        let bitmap = bitmap.ok_or(ClientError::Mismatch { command })?;
        Ok(bitmap.data.to_vec())
    }
}
