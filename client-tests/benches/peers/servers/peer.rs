//! The server of the crate `vfio_user` with a device of the same shape as the test function: config
//! space, a page of registers, 1 MiB of RAM, and client memory that is mapped.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use client_tests::raw::wire::region;
use vfio_bindings::bindings::vfio::{
    VFIO_REGION_INFO_FLAG_READ, VFIO_REGION_INFO_FLAG_WRITE, vfio_region_info,
};
use vfio_user::{DmaMapFlags, DmaUnmapFlags, IrqInfo, Server, ServerBackend, ServerRegion};
use vm_memory::{FileOffset, MmapRegion};

const REGISTERS: usize = 0x1000;
const RAM: usize = 1 << 20;
const CONFIG: usize = 0x1000;

/// Serves a function on each socket, on a thread of its own: its server has no event loop.
pub fn serve(sockets: &[PathBuf]) -> Result<()> {
    let serve_one = |path: &PathBuf| -> Result<_> {
        let listener = OwnedFd::from(UnixListener::bind(path)?);
        Ok(std::thread::spawn(move || -> io::Result<()> {
            let mut device = Device::default();
            loop {
                let listener = listener.as_fd().try_clone_to_owned()?;
                // How a client goes is its own business.
                let _ = Server::from_owned_fd(listener, true, irqs(), regions()).run(&mut device);
                device.maps.clear();
                device.memory = None;
            }
        }))
    };
    let threads: Vec<_> = sockets.iter().map(serve_one).collect::<Result<_>>()?;
    for thread in threads {
        if let Ok(ended) = thread.join() {
            ended?;
        }
    }
    Ok(())
}

fn irqs() -> Vec<IrqInfo> {
    let irq = |index| IrqInfo {
        index,
        count: 0,
        flags: 0,
    };
    (0..5).map(irq).collect()
}

fn regions() -> Vec<ServerRegion> {
    let region = |index| {
        let size = match index {
            0 => REGISTERS,
            2 => RAM,
            region::CONFIG => CONFIG,
            _ => 0,
        };
        ServerRegion {
            region_info: vfio_region_info {
                argsz: size_of::<vfio_region_info>() as u32,
                index,
                size: size as u64,
                flags: VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE,
                ..Default::default()
            },
            sparse_areas: Vec::new(),
            mmap_fd: None,
        }
    };
    (0..9).map(region).collect()
}

struct Device {
    config: Vec<u8>,
    registers: Vec<u8>,
    ram: Vec<u8>,
    /// Client memory by bus address.
    maps: BTreeMap<u64, MmapRegion>,
    /// The file of all maps: kept open once, so that the number of descriptors is no limit.
    memory: Option<Arc<File>>,
}

impl Default for Device {
    fn default() -> Self {
        Self {
            config: vec![0; CONFIG],
            registers: vec![0; REGISTERS],
            ram: vec![0; RAM],
            maps: BTreeMap::new(),
            memory: None,
        }
    }
}

impl Device {
    fn range(&mut self, region: u32, offset: u64, len: usize) -> io::Result<&mut [u8]> {
        let memory = match region {
            0 => &mut self.registers,
            2 => &mut self.ram,
            region::CONFIG => &mut self.config,
            _ => return Err(io::ErrorKind::NotFound.into()),
        };
        let start = usize::try_from(offset).ok();
        let range = start.and_then(|start| Some(start..start.checked_add(len)?));
        let range = range.and_then(|range| memory.get_mut(range));
        range.ok_or_else(|| io::ErrorKind::InvalidInput.into())
    }
}

impl ServerBackend for Device {
    fn region_read(&mut self, region: u32, offset: u64, data: &mut [u8]) -> io::Result<()> {
        data.copy_from_slice(self.range(region, offset, data.len())?);
        Ok(())
    }

    fn region_write(&mut self, region: u32, offset: u64, data: &[u8]) -> io::Result<()> {
        self.range(region, offset, data.len())?
            .copy_from_slice(data);
        Ok(())
    }

    fn dma_map(
        &mut self,
        _flags: DmaMapFlags,
        offset: u64,
        address: u64,
        size: u64,
        fd: Option<File>,
    ) -> io::Result<()> {
        let file = fd.ok_or(io::ErrorKind::InvalidInput)?;
        let file = self.memory.get_or_insert_with(|| Arc::new(file));
        let file = FileOffset::from_arc(Arc::clone(file), offset);
        let mapping = MmapRegion::from_file(file, size as usize).map_err(io::Error::other)?;
        self.maps.insert(address, mapping);
        Ok(())
    }

    fn dma_unmap(&mut self, _flags: DmaUnmapFlags, address: u64, _size: u64) -> io::Result<()> {
        let mapping = self.maps.remove(&address);
        mapping.map(drop).ok_or(io::ErrorKind::NotFound.into())
    }

    fn reset(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn set_irqs(&mut self, _: u32, _: u32, _: u32, _: u32, _: Vec<File>) -> io::Result<()> {
        Ok(())
    }
}
