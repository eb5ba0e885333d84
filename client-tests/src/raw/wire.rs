//! Numbers and layouts of the protocol.

use std::ops::Deref;

/// Size in bytes of the header of every message.
pub const HEADER: usize = 16;

/// Command numbers.
pub mod command {
    #![expect(missing_docs, reason = "the names are the protocol's")]
    pub const VERSION: u16 = 1;
    pub const DMA_MAP: u16 = 2;
    pub const DMA_UNMAP: u16 = 3;
    pub const DEVICE_GET_INFO: u16 = 4;
    pub const DEVICE_GET_REGION_INFO: u16 = 5;
    pub const DEVICE_GET_REGION_IO_FDS: u16 = 6;
    pub const DEVICE_GET_IRQ_INFO: u16 = 7;
    pub const DEVICE_SET_IRQS: u16 = 8;
    pub const REGION_READ: u16 = 9;
    pub const REGION_WRITE: u16 = 10;
    pub const DMA_READ: u16 = 11;
    pub const DMA_WRITE: u16 = 12;
    pub const DEVICE_RESET: u16 = 13;
    pub const REGION_WRITE_MULTI: u16 = 15;
    pub const DEVICE_FEATURE: u16 = 16;
    pub const MIG_DATA_READ: u16 = 17;
    pub const MIG_DATA_WRITE: u16 = 18;
}

/// Flags of the header.
pub mod flag {
    /// The bits that contain the type of a message.
    pub const TYPE: u32 = 0xf;
    /// A command.
    pub const COMMAND: u32 = 0;
    /// A reply.
    pub const REPLY: u32 = 1;
    /// The sender of the command does not want a reply.
    pub const NO_REPLY: u32 = 0x10;
    /// The reply reports an error.
    pub const ERROR: u32 = 0x20;
}

/// Regions of a PCI device; BARs are 0 to 5.
pub mod region {
    /// Expansion ROM.
    pub const ROM: u32 = 6;
    /// Config space.
    pub const CONFIG: u32 = 7;
    /// Legacy VGA ranges.
    pub const VGA: u32 = 8;
}

/// Irq indexes of a PCI device.
pub mod irq {
    /// INTx.
    pub const INTX: u32 = 0;
    /// MSI.
    pub const MSI: u32 = 1;
    /// MSI-X.
    pub const MSIX: u32 = 2;
    /// Unrecoverable error.
    pub const ERR: u32 = 3;
    /// Request to give the device back.
    pub const REQ: u32 = 4;
    /// Wake event, in the v4 dialect of low power.
    pub const PME: u32 = 5;
}

/// Operations of DEVICE_FEATURE, beside the number of the feature.
pub mod device_feature {
    #![expect(missing_docs, reason = "the names are the protocol's")]
    pub const GET: u32 = 1 << 16;
    pub const SET: u32 = 1 << 17;
    pub const PROBE: u32 = 1 << 18;
}

/// Flags of SET_IRQS: one kind of data, one action.
pub mod set_irqs {
    #![expect(missing_docs, reason = "the names are the protocol's")]
    pub const DATA_NONE: u32 = 1 << 0;
    pub const DATA_BOOL: u32 = 1 << 1;
    pub const DATA_EVENTFD: u32 = 1 << 2;
    pub const ACTION_MASK: u32 = 1 << 3;
    pub const ACTION_UNMASK: u32 = 1 << 4;
    pub const ACTION_TRIGGER: u32 = 1 << 5;
}

/// Flags of DMA_MAP.
pub mod dma_map {
    /// The server may read the memory.
    pub const READ: u32 = 1 << 0;
    /// The server may write the memory.
    pub const WRITE: u32 = 1 << 1;
    /// The server has to map the file.
    pub const MMAP: u32 = 1 << 2;
    /// The server has to use file I/O.
    pub const FILE_IO: u32 = 1 << 3;
}

/// The flag of DMA_UNMAP that removes every map.
pub const UNMAP_ALL: u32 = 1 << 1;

/// The errno values that tests use, by name.
const ERRNOS: [(&str, u32); 17] = [
    ("EPERM", 1),
    ("ENOENT", 2),
    ("EIO", 5),
    ("E2BIG", 7),
    ("EBADF", 9),
    ("EAGAIN", 11),
    ("ENOMEM", 12),
    ("EFAULT", 14),
    ("EBUSY", 16),
    ("EEXIST", 17),
    ("ENODEV", 19),
    ("EINVAL", 22),
    ("EMFILE", 24),
    ("ENOTTY", 25),
    ("ENOSPC", 28),
    ("ENOTSUP", 95),
    ("ETIMEDOUT", 110),
];

/// The object does not exist.
pub const ENOENT: u32 = 2;
/// Invalid argument.
pub const EINVAL: u32 = 22;
/// The operation does not exist.
pub const ENOTTY: u32 = 25;
/// The device is in use.
pub const EBUSY: u32 = 16;
/// The object exists already.
pub const EEXIST: u32 = 17;
/// Too many files are open.
pub const EMFILE: u32 = 24;
/// There is no more room.
pub const ENOSPC: u32 = 28;

/// Returns the name of an errno, or its number.
#[must_use]
pub fn name(errno: u32) -> String {
    let known = ERRNOS.iter().find(|(_, number)| *number == errno);
    known.map_or_else(|| format!("errno {errno}"), |(name, _)| (*name).to_owned())
}

/// Returns the errno of that name.
#[must_use]
pub fn errno(name: &str) -> Option<u32> {
    let known = ERRNOS.iter().find(|(known, _)| *known == name);
    known.map(|(_, number)| *number)
}

/// Returns a whole message with its true size.
#[must_use]
pub fn message(id: u16, command: u16, flags: u32, payload: &[u8]) -> Vec<u8> {
    let size = (HEADER + payload.len()) as u32;
    header(id, command, size, flags, 0).bytes(payload).into()
}

/// Returns a header with any values.
#[must_use]
pub fn header(id: u16, command: u16, size: u32, flags: u32, error: u32) -> Bytes {
    Bytes::new()
        .u16(id)
        .u16(command)
        .u32(size)
        .u32(flags)
        .u32(error)
}

/// Bytes packed field by field in the host's byte order.
#[derive(Clone, Debug, Default)]
pub struct Bytes(Vec<u8>);

impl Bytes {
    /// Creates an empty sequence.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends bytes.
    #[must_use]
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// Appends 16 bits.
    #[must_use]
    pub fn u16(self, value: u16) -> Self {
        self.bytes(&value.to_ne_bytes())
    }

    /// Appends 32 bits.
    #[must_use]
    pub fn u32(self, value: u32) -> Self {
        self.bytes(&value.to_ne_bytes())
    }

    /// Appends 64 bits.
    #[must_use]
    pub fn u64(self, value: u64) -> Self {
        self.bytes(&value.to_ne_bytes())
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl From<Bytes> for Vec<u8> {
    fn from(bytes: Bytes) -> Self {
        bytes.0
    }
}

/// Returns the 16 bits at `at`, or zero where a message is too short. The caller checks its length.
#[must_use]
pub fn field_u16(bytes: &[u8], at: usize) -> u16 {
    field(bytes, at).map_or(0, u16::from_ne_bytes)
}

/// Returns the 32 bits at `at`; see [`field_u16`].
#[must_use]
pub fn field_u32(bytes: &[u8], at: usize) -> u32 {
    field(bytes, at).map_or(0, u32::from_ne_bytes)
}

/// Returns the 64 bits at `at`; see [`field_u16`].
#[must_use]
pub fn field_u64(bytes: &[u8], at: usize) -> u64 {
    field(bytes, at).map_or(0, u64::from_ne_bytes)
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}
