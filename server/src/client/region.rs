//! Regions: their properties, and accesses to them.

use std::os::fd::OwnedFd;

use vfio_user_protocol::Command;
use vfio_user_protocol::messages::region_access::{
    Access, ReadReply, ReadRequest, WriteReply, WriteRequest,
};
use vfio_user_protocol::messages::region_info::{self, RegionInfo};
use vfio_user_protocol::messages::region_io_fds::{self, RegionIoFds};

use super::{Client, ClientError, Memory};

/// A region's properties, with the files from which parts of it can be mapped.
#[derive(Debug)]
#[non_exhaustive]
pub struct Region {
    /// The properties, with every capability that the server has for the region.
    pub info: RegionInfo,
    /// The files to which the capabilities refer.
    pub files: Vec<OwnedFd>,
}

/// Bytes in a REGION_INFO or REGION_IO_FDS structure without capabilities or entries.
const INFO_SIZE: u32 = 32;
const IO_FDS_SIZE: u32 = 16;

macro_rules! by_width {
    ($($read:ident $write:ident $type:ident $bits:literal;)*) => {$(
        #[doc = concat!("Reads ", $bits, " bits, little-endian, at `offset` of `region`.")]
        ///
        /// # Errors
        /// The server refuses the access or transfers less, or another [`ClientError`].
        pub fn $read(&mut self, region: u32, offset: u64) -> Result<$type, ClientError> {
            let mut data = [0; size_of::<$type>()];
            self.read_exact(region, offset, &mut data)?;
            Ok($type::from_le_bytes(data))
        }

        #[doc = concat!("Writes ", $bits, " bits, little-endian, at `offset` of `region`.")]
        ///
        /// # Errors
        /// The server refuses the access or transfers less, or another [`ClientError`].
        pub fn $write(
            &mut self,
            region: u32,
            offset: u64,
            value: $type,
        ) -> Result<(), ClientError> {
            self.write_all(region, offset, &value.to_le_bytes())
        }
    )*};
}

impl<M: Memory> Client<M> {
    /// Returns the properties of a region, with its capabilities and files.
    ///
    /// # Errors
    /// There is no such region, or another [`ClientError`].
    pub fn region(&mut self, index: u32) -> Result<Region, ClientError> {
        let mut argsz = INFO_SIZE;
        loop {
            let request = region_info::Request { argsz, index };
            let command = Command::DeviceGetRegionInfo;
            let answer = self.request(command, &[], |body| request.encode(body))?;
            let reply = region_info::Reply::parse(&answer.payload)?;
            if reply.info.index != index {
                return Err(ClientError::Mismatch { command });
            }
            let wanted = reply.argsz.min(self.options.max_transfer());
            if wanted <= argsz {
                return Ok(Region {
                    info: reply.info,
                    files: answer.files,
                });
            }
            argsz = wanted;
        }
    }

    /// Returns the file descriptors that stand for accesses to parts of a region, and the files to which
    /// they refer.
    ///
    /// # Errors
    /// There is no such region, or another [`ClientError`].
    pub fn region_io_fds(
        &mut self,
        index: u32,
    ) -> Result<(RegionIoFds, Vec<OwnedFd>), ClientError> {
        let mut argsz = IO_FDS_SIZE;
        loop {
            let request = region_io_fds::Request { argsz, index };
            let command = Command::DeviceGetRegionIoFds;
            let answer = self.request(command, &[], |body| request.encode(body))?;
            let reply = region_io_fds::Reply::parse(&answer.payload)?;
            if reply.fds.index != index {
                return Err(ClientError::Mismatch { command });
            }
            let wanted = reply.argsz.min(self.options.max_transfer());
            if wanted <= argsz {
                return Ok((reply.fds, answer.files));
            }
            argsz = wanted;
        }
    }

    by_width! {
        read_u8 write_u8 u8 "8";
        read_u16 write_u16 u16 "16";
        read_u32 write_u32 u32 "32";
        read_u64 write_u64 u64 "64";
    }

    /// Reads from `region` into `data`, in pieces of at most [`max_transfer`](Self::max_transfer) bytes.
    /// Returns the number of bytes: fewer where the server transfers fewer.
    ///
    /// # Errors
    /// The server refuses the access, or another [`ClientError`].
    pub fn read(
        &mut self,
        region: u32,
        offset: u64,
        data: &mut [u8],
    ) -> Result<usize, ClientError> {
        let mut done = 0;
        for piece in data.chunks_mut(self.max_transfer() as usize) {
            let count = self.read_piece(region, offset.wrapping_add(done as u64), piece)?;
            done += count;
            if count < piece.len() {
                break;
            }
        }
        Ok(done)
    }

    /// Fills `data` from `region`.
    ///
    /// # Errors
    /// As [`Self::read`], and if the server transfers fewer bytes.
    pub fn read_exact(
        &mut self,
        region: u32,
        offset: u64,
        data: &mut [u8],
    ) -> Result<(), ClientError> {
        let actual = self.read(region, offset, data)?;
        whole(region, offset, actual, data.len())
    }

    /// Writes `data` to `region`, in pieces of at most [`max_transfer`](Self::max_transfer) bytes. Returns
    /// the number of bytes: fewer where the server transfers fewer.
    ///
    /// # Errors
    /// The server refuses the access, or another [`ClientError`].
    pub fn write(&mut self, region: u32, offset: u64, data: &[u8]) -> Result<usize, ClientError> {
        let mut done = 0;
        for piece in data.chunks(self.max_transfer() as usize) {
            let count = self.write_piece(region, offset.wrapping_add(done as u64), piece)?;
            done += count;
            if count < piece.len() {
                break;
            }
        }
        Ok(done)
    }

    /// Writes all of `data` to `region`.
    ///
    /// # Errors
    /// As [`Self::write`], and if the server transfers fewer bytes.
    pub fn write_all(&mut self, region: u32, offset: u64, data: &[u8]) -> Result<(), ClientError> {
        let actual = self.write(region, offset, data)?;
        whole(region, offset, actual, data.len())
    }

    fn read_piece(
        &mut self,
        region: u32,
        offset: u64,
        piece: &mut [u8],
    ) -> Result<usize, ClientError> {
        let command = Command::RegionRead;
        let access = Access {
            offset,
            region,
            // A piece is no longer than a `u32` can say.
            count: piece.len() as u32,
        };
        let answer = self.request(command, &[], |body| ReadRequest { access }.encode(body))?;
        let reply = ReadReply::parse(&answer.payload)?;
        let place = piece.get_mut(..reply.data.len());
        let place = place.filter(|_| (reply.region, reply.offset) == (region, offset));
        let place = place.ok_or(ClientError::Mismatch { command })?;
        place.copy_from_slice(reply.data);
        Ok(reply.data.len())
    }

    fn write_piece(
        &mut self,
        region: u32,
        offset: u64,
        piece: &[u8],
    ) -> Result<usize, ClientError> {
        let command = Command::RegionWrite;
        let request = WriteRequest::new(region, offset, piece);
        let answer = self.request(command, &[], |body| request.encode(body))?;
        let Access {
            offset: at,
            region: of,
            count,
        } = WriteReply::parse(&answer.payload)?.access;
        if (of, at) != (region, offset) || count > request.access.count {
            return Err(ClientError::Mismatch { command });
        }
        Ok(count as usize)
    }
}

const fn whole(region: u32, offset: u64, actual: usize, wanted: usize) -> Result<(), ClientError> {
    if actual == wanted {
        return Ok(());
    }
    Err(ClientError::Short {
        region,
        offset,
        actual,
        wanted,
    })
}
