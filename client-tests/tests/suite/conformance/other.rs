//! The server of the crate `vfio_user` with a small device, as its users write one.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use vfio_bindings::bindings::vfio::{
    VFIO_IRQ_INFO_EVENTFD, VFIO_REGION_INFO_FLAG_READ, VFIO_REGION_INFO_FLAG_WRITE,
    vfio_region_info,
};
use vfio_user::{DmaMapFlags, DmaUnmapFlags, IrqInfo, Server, ServerBackend, ServerRegion};

const CONFIG: u32 = 7;
const BAR_SIZE: u64 = 0x1000;

/// A server that runs until the test is over.
#[derive(Debug)]
pub struct Other {
    socket: PathBuf,
    _folder: TempDir,
}

impl Other {
    pub fn socket(&self) -> &Path {
        &self.socket
    }
}

/// It serves one client after the other. Some messages make it panic; like a supervisor would, this
/// starts it anew.
pub fn serve() -> Other {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("other.sock");
    let listener = OwnedFd::from(UnixListener::bind(&socket).unwrap());
    std::thread::spawn(move || {
        let mut device = Device::new();
        loop {
            let Ok(listener) = listener.as_fd().try_clone_to_owned() else {
                return;
            };
            let server = Server::from_owned_fd(listener, true, irqs(), regions());
            // The fault shows in the replies that the client gets.
            let _ = catch_unwind(AssertUnwindSafe(|| server.run(&mut device)));
        }
    });
    Other {
        socket,
        _folder: folder,
    }
}

fn irqs() -> Vec<IrqInfo> {
    let irq = |(index, count)| IrqInfo {
        index,
        count,
        flags: VFIO_IRQ_INFO_EVENTFD,
    };
    (0..).zip([0, 0, 4, 1, 1]).map(irq).collect()
}

fn regions() -> Vec<ServerRegion> {
    let region = |index| ServerRegion {
        region_info: vfio_region_info {
            argsz: size_of::<vfio_region_info>() as u32,
            index,
            size: match index {
                0 => BAR_SIZE,
                CONFIG => 256,
                _ => 0,
            },
            flags: match index {
                0 | CONFIG => VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE,
                _ => 0,
            },
            ..Default::default()
        },
        sparse_areas: Vec::new(),
        mmap_fd: None,
    };
    (0..9).map(region).collect()
}

/// Config space with one BAR and MSI-X, and memory behind the BAR.
struct Device {
    config: [u8; 256],
    bar: Vec<u8>,
}

impl Device {
    fn new() -> Self {
        let mut config = [0; 256];
        config[..4].copy_from_slice(&[0x34, 0x12, 0x01, 0xd0]);
        config[6] = 0x10;
        config[0x34] = 0x40;
        config[0x40..0x44].copy_from_slice(&[0x11, 0, 3, 0]);
        Self {
            config,
            bar: vec![0; BAR_SIZE as usize],
        }
    }

    fn range(&mut self, region: u32, offset: u64, len: usize) -> io::Result<&mut [u8]> {
        let memory = match region {
            0 => &mut self.bar[..],
            CONFIG => &mut self.config[..],
            _ => return Err(io::ErrorKind::NotFound.into()),
        };
        let start = usize::try_from(offset).ok();
        let range = start.and_then(|start| Some(start..start.checked_add(len)?));
        let range = range.and_then(|range| memory.get_mut(range));
        range.ok_or_else(|| io::ErrorKind::InvalidInput.into())
    }
}

/// Returns whether a byte of config space can be written: Command, the BAR, Interrupt Line.
const fn is_writable(at: u64) -> bool {
    matches!(at, 4 | 5 | 0x10..0x14 | 0x3c)
}

impl ServerBackend for Device {
    fn region_read(&mut self, region: u32, offset: u64, data: &mut [u8]) -> io::Result<()> {
        data.copy_from_slice(self.range(region, offset, data.len())?);
        Ok(())
    }

    fn region_write(&mut self, region: u32, offset: u64, data: &[u8]) -> io::Result<()> {
        let range = self.range(region, offset, data.len())?;
        for ((at, byte), value) in (offset..).zip(range).zip(data) {
            if region == 0 || is_writable(at) {
                *byte = *value;
            }
        }
        // The size of the BAR, and that it is 32-bit memory.
        self.config[0x10] = 0;
        self.config[0x11] &= 0xf0;
        Ok(())
    }

    fn dma_map(
        &mut self,
        _flags: DmaMapFlags,
        _offset: u64,
        _address: u64,
        _size: u64,
        _fd: Option<File>,
    ) -> io::Result<()> {
        Ok(())
    }

    fn dma_unmap(&mut self, _flags: DmaUnmapFlags, _address: u64, _size: u64) -> io::Result<()> {
        Ok(())
    }

    fn reset(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn set_irqs(
        &mut self,
        _index: u32,
        _flags: u32,
        _start: u32,
        _count: u32,
        _fds: Vec<File>,
    ) -> io::Result<()> {
        Ok(())
    }
}
