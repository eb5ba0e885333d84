//! The capabilities of one side, and what follows from those that it did not name.

use serde::Serialize;

/// The capabilities that one side announces. `None`: not announced; the default holds, or the option is
/// off.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Capabilities {
    /// File descriptors that the sender can receive in one message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_msg_fds: Option<u32>,
    /// Largest count in bytes that the sender accepts in an access to a region or to memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_data_xfer_size: Option<u64>,
    /// DMA windows that can be valid at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_dma_maps: Option<u64>,
    /// Page sizes usable for DMA windows, or-ed together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pgsizes: Option<u64>,
    /// A second socket for what the server asks of the client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub twin_socket: Option<TwinSocket>,
    /// REGION_WRITE_MULTI is understood.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write_multiple: Option<bool>,
    /// Mappable areas from several files are understood.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sparse_mmap_fds: Option<bool>,
    /// Migration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub migration: Option<Migration>,
    /// Dialects of the low-power features: those that a client speaks, the one that a server uses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pm_dialects: Option<Vec<String>>,
}

/// The `twin_socket` member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct TwinSocket {
    /// The sender can do it.
    pub supported: bool,
    /// Which descriptor beside the reply is the socket; in replies only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fd_index: Option<u32>,
}

/// The `migration` member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Migration {
    /// Page size of dirty bitmaps in bytes, a power of two.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pgsize: Option<u64>,
    /// Largest dirty bitmap in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_bitmap_size: Option<u64>,
}

/// The limits of a peer. Numbers beyond a field's width mean no limit and are clamped to
/// it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerLimits {
    /// File descriptors in one message; 0 means that it wants none.
    pub max_msg_fds: u32,
    /// Bytes in one access.
    pub max_data_xfer_size: u32,
    /// DMA windows.
    pub max_dma_maps: u32,
    /// Page sizes, or-ed together.
    pub pgsizes: u64,
}

impl Default for PeerLimits {
    /// The specification's defaults.
    fn default() -> Self {
        Self {
            max_msg_fds: 1,
            max_data_xfer_size: 1 << 20,
            max_dma_maps: 65_535,
            pgsizes: 4096,
        }
    }
}

impl Capabilities {
    /// The limits among the capabilities, defaults filled in.
    pub fn limits(&self) -> PeerLimits {
        let default = PeerLimits::default();
        let clamped = |value: Option<u64>, default| {
            value.map_or(default, |value| u32::try_from(value).unwrap_or(u32::MAX))
        };
        PeerLimits {
            max_msg_fds: self.max_msg_fds.unwrap_or(default.max_msg_fds),
            max_data_xfer_size: clamped(self.max_data_xfer_size, default.max_data_xfer_size),
            max_dma_maps: clamped(self.max_dma_maps, default.max_dma_maps),
            pgsizes: self.pgsizes.unwrap_or(default.pgsizes),
        }
    }
}
