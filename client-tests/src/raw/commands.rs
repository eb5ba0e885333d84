//! The commands of the protocol, packed according to its specification.

use std::io;
use std::os::fd::BorrowedFd;

use anyhow::{Result, bail, ensure};

use super::wire::{Bytes, command, field_u16, field_u32, field_u64, flag};
use super::{Message, RawClient};

/// Reply of GET_REGION_INFO without its capabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the protocol's")]
pub struct RegionInfo {
    pub argsz: u32,
    pub flags: u32,
    pub index: u32,
    pub cap_offset: u32,
    pub size: u64,
    pub offset: u64,
}

/// Reply of GET_IRQ_INFO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the protocol's")]
pub struct IrqInfo {
    pub argsz: u32,
    pub flags: u32,
    pub index: u32,
    pub count: u32,
}

/// Request of SET_IRQS.
#[derive(Clone, Copy, Debug, Default)]
pub struct SetIrqs<'a> {
    /// Kind of data and action, [`super::wire::set_irqs`].
    pub flags: u32,
    /// Irq index.
    pub index: u32,
    /// First vector.
    pub start: u32,
    /// Number of vectors.
    pub count: u32,
    /// With DATA_BOOL: one byte for each vector.
    pub bools: &'a [u8],
}

/// One of the writes of REGION_WRITE_MULTI.
#[derive(Clone, Copy, Debug)]
pub struct SmallWrite<'a> {
    /// Region index.
    pub region: u32,
    /// Offset in the region.
    pub offset: u64,
    /// At most 8 bytes.
    pub data: &'a [u8],
}

impl RawClient {
    /// Sends VERSION. `json` is sent unchanged, with its required NUL.
    ///
    /// # Errors
    /// No reply came.
    pub fn version(&mut self, major: u16, minor: u16, json: Option<&str>) -> Result<Message> {
        let payload = Bytes::new().u16(major).u16(minor);
        let payload = match json {
            Some(json) => payload.bytes(json.as_bytes()).bytes(&[0]),
            None => payload,
        };
        self.command(command::VERSION, payload)
    }

    /// Returns major and minor version and the JSON text of a VERSION reply, if it has one.
    ///
    /// # Errors
    /// The reply reports an error, or its text is not UTF-8 that ends in NUL.
    pub fn version_reply(reply: Message) -> Result<(u16, u16, Option<String>)> {
        let payload = reply.success()?;
        ensure!(
            payload.len() >= 4,
            "VERSION replied {} bytes",
            payload.len()
        );
        let (version, text) = payload.split_at(4);
        let text = match text.split_last() {
            None => None,
            Some((0, text)) => Some(String::from_utf8(text.to_vec())?),
            Some(_) => bail!("the JSON text does not end in NUL"),
        };
        Ok((field_u16(version, 0), field_u16(version, 2), text))
    }

    /// Sends DMA_MAP of `size` bytes at `offset` of `fd` to `address`.
    ///
    /// # Errors
    /// No reply came.
    pub fn dma_map(
        &mut self,
        flags: u32,
        offset: u64,
        address: u64,
        size: u64,
        fd: Option<BorrowedFd<'_>>,
    ) -> Result<Message> {
        let payload = Bytes::new()
            .u32(32)
            .u32(flags)
            .u64(offset)
            .u64(address)
            .u64(size);
        self.request(command::DMA_MAP, &payload, fd.as_slice())
    }

    /// Sends DMA_UNMAP.
    ///
    /// # Errors
    /// No reply came.
    pub fn dma_unmap(&mut self, flags: u32, address: u64, size: u64) -> Result<Message> {
        let payload = Bytes::new().u32(24).u32(flags).u64(address).u64(size);
        self.command(command::DMA_UNMAP, payload)
    }

    /// Sends DEVICE_GET_INFO and returns any reply.
    ///
    /// # Errors
    /// No reply came.
    pub fn get_info(&mut self) -> Result<Message> {
        let payload = Bytes::new().u32(16).u32(0).u32(0).u32(0);
        self.command(command::DEVICE_GET_INFO, payload)
    }

    /// Sends DEVICE_GET_INFO and returns flags, number of regions, number of irq indexes.
    ///
    /// # Errors
    /// No reply came, or it is not 16 bytes of success.
    pub fn device_info(&mut self) -> Result<(u32, u32, u32)> {
        let reply = self.get_info()?.success()?;
        ensure!(reply.len() == 16, "GET_INFO replied {} bytes", reply.len());
        Ok((
            field_u32(&reply, 4),
            field_u32(&reply, 8),
            field_u32(&reply, 12),
        ))
    }

    /// Sends DEVICE_GET_REGION_INFO and returns any reply.
    ///
    /// # Errors
    /// No reply came.
    pub fn get_region_info(&mut self, index: u32) -> Result<Message> {
        let payload = Bytes::new().u32(32).u32(0).u32(index).u32(0).u64(0).u64(0);
        self.command(command::DEVICE_GET_REGION_INFO, payload)
    }

    /// Sends DEVICE_GET_REGION_INFO, which has to succeed.
    ///
    /// # Errors
    /// No reply came, or it is not 32 bytes of success.
    pub fn region_info(&mut self, index: u32) -> Result<RegionInfo> {
        let reply = self.get_region_info(index)?.success()?;
        ensure!(
            reply.len() == 32,
            "GET_REGION_INFO replied {} bytes",
            reply.len()
        );
        Ok(RegionInfo {
            argsz: field_u32(&reply, 0),
            flags: field_u32(&reply, 4),
            index: field_u32(&reply, 8),
            cap_offset: field_u32(&reply, 12),
            size: field_u64(&reply, 16),
            offset: field_u64(&reply, 24),
        })
    }

    /// Sends DEVICE_GET_REGION_IO_FDS with room for `argsz` bytes and returns any reply.
    ///
    /// # Errors
    /// No reply came.
    pub fn get_region_io_fds(&mut self, index: u32, argsz: u32) -> Result<Message> {
        let payload = Bytes::new().u32(argsz).u32(0).u32(index).u32(0);
        self.command(command::DEVICE_GET_REGION_IO_FDS, payload)
    }

    /// Sends DEVICE_GET_IRQ_INFO and returns any reply.
    ///
    /// # Errors
    /// No reply came.
    pub fn get_irq_info(&mut self, index: u32) -> Result<Message> {
        let payload = Bytes::new().u32(16).u32(0).u32(index).u32(0);
        self.command(command::DEVICE_GET_IRQ_INFO, payload)
    }

    /// Sends DEVICE_GET_IRQ_INFO, which has to succeed.
    ///
    /// # Errors
    /// No reply came, or it is not 16 bytes of success.
    pub fn irq_info(&mut self, index: u32) -> Result<IrqInfo> {
        let reply = self.get_irq_info(index)?.success()?;
        ensure!(
            reply.len() == 16,
            "GET_IRQ_INFO replied {} bytes",
            reply.len()
        );
        Ok(IrqInfo {
            argsz: field_u32(&reply, 0),
            flags: field_u32(&reply, 4),
            index: field_u32(&reply, 8),
            count: field_u32(&reply, 12),
        })
    }

    /// Sends DEVICE_SET_IRQS.
    ///
    /// # Errors
    /// No reply came.
    pub fn set_irqs(&mut self, request: SetIrqs<'_>, fds: &[BorrowedFd<'_>]) -> Result<Message> {
        let payload = Bytes::new()
            .u32(20 + request.bools.len() as u32)
            .u32(request.flags)
            .u32(request.index)
            .u32(request.start)
            .u32(request.count)
            .bytes(request.bools);
        self.request(command::DEVICE_SET_IRQS, &payload, fds)
    }

    /// Sends REGION_READ.
    ///
    /// # Errors
    /// No reply came.
    pub fn region_read(&mut self, region: u32, offset: u64, count: u32) -> Result<Message> {
        self.command(command::REGION_READ, access(region, offset, count))
    }

    /// Sends REGION_READ without receiving its reply. Returns its message id.
    ///
    /// # Errors
    /// The connection has gone.
    pub fn post_read(&mut self, region: u32, offset: u64, count: u32) -> io::Result<u16> {
        let payload = access(region, offset, count);
        self.post(command::REGION_READ, flag::COMMAND, &payload, &[])
    }

    /// Returns the data of a REGION_READ, which has to succeed.
    ///
    /// # Errors
    /// No reply came, it reports an error, or it does not match the request.
    pub fn read(&mut self, region: u32, offset: u64, count: u32) -> Result<Vec<u8>> {
        let mut reply = self.region_read(region, offset, count)?.success()?;
        let data = reply.split_off(reply.len().min(16));
        ensure!(
            reply == *access(region, offset, count) && data.len() == count as usize,
            "the reply to a read of {count} bytes at {offset:#x} of region {region} says {reply:x?} \
             and has {} bytes",
            data.len()
        );
        Ok(data)
    }

    /// Sends REGION_WRITE.
    ///
    /// # Errors
    /// No reply came.
    pub fn region_write(&mut self, region: u32, offset: u64, data: &[u8]) -> Result<Message> {
        let payload = access(region, offset, data.len() as u32).bytes(data);
        self.command(command::REGION_WRITE, payload)
    }

    /// Sends REGION_WRITE without receiving its reply. Returns its message id.
    ///
    /// # Errors
    /// The connection has gone.
    pub fn post_write(&mut self, region: u32, offset: u64, data: &[u8]) -> io::Result<u16> {
        let payload = access(region, offset, data.len() as u32).bytes(data);
        self.post(command::REGION_WRITE, flag::COMMAND, &payload, &[])
    }

    /// Sends a REGION_WRITE, which has to succeed.
    ///
    /// # Errors
    /// No reply came, it reports an error, or it does not match the request.
    pub fn write(&mut self, region: u32, offset: u64, data: &[u8]) -> Result<()> {
        let reply = self.region_write(region, offset, data)?.success()?;
        ensure!(
            reply == *access(region, offset, data.len() as u32),
            "the reply to a write of {} bytes at {offset:#x} of region {region} says {reply:x?}",
            data.len()
        );
        Ok(())
    }

    /// Sends REGION_WRITE_MULTI and returns any reply.
    ///
    /// # Errors
    /// No reply came.
    pub fn region_write_multi(&mut self, writes: &[SmallWrite<'_>]) -> Result<Message> {
        self.command(command::REGION_WRITE_MULTI, write_multi(writes))
    }

    /// Returns the number of completed writes of a REGION_WRITE_MULTI, which has to succeed.
    ///
    /// # Errors
    /// No reply came, or it is not 8 bytes of success.
    pub fn write_multi(&mut self, writes: &[SmallWrite<'_>]) -> Result<u64> {
        let reply = self.region_write_multi(writes)?.success()?;
        ensure!(
            reply.len() == 8,
            "REGION_WRITE_MULTI replied {} bytes",
            reply.len()
        );
        Ok(field_u64(&reply, 0))
    }

    /// Sends DEVICE_RESET.
    ///
    /// # Errors
    /// No reply came.
    pub fn reset(&mut self) -> Result<Message> {
        self.command(command::DEVICE_RESET, Bytes::new())
    }

    /// Sends DEVICE_FEATURE. `flags` contain the feature's number and the operation.
    ///
    /// # Errors
    /// No reply came.
    pub fn device_feature(
        &mut self,
        argsz: u32,
        flags: u32,
        data: &[u8],
        fds: &[BorrowedFd<'_>],
    ) -> Result<Message> {
        let payload = Bytes::new().u32(argsz).u32(flags).bytes(data);
        self.request(command::DEVICE_FEATURE, &payload, fds)
    }
}

/// Returns the payload of REGION_WRITE_MULTI.
#[must_use]
pub fn write_multi(writes: &[SmallWrite<'_>]) -> Bytes {
    let count = Bytes::new().u64(writes.len() as u64);
    writes.iter().fold(count, |bytes, write| {
        let mut data = [0; 8];
        data[..write.data.len()].copy_from_slice(write.data);
        bytes
            .u64(write.offset)
            .u32(write.region)
            .u32(write.data.len() as u32)
            .bytes(&data)
    })
}

/// Returns the beginning of REGION_READ and REGION_WRITE.
pub(super) fn access(region: u32, offset: u64, count: u32) -> Bytes {
    Bytes::new().u64(offset).u32(region).u32(count)
}
