//! Requests, field by field. Checks make them valid, or invalid in one field.

use crate::raw::wire::Bytes;

/// DEVICE_GET_INFO, DEVICE_GET_IRQ_INFO, DEVICE_GET_REGION_IO_FDS.
pub(super) fn info(argsz: u32, index: u32) -> Bytes {
    Bytes::new().u32(argsz).u32(0).u32(index).u32(0)
}

/// DEVICE_GET_REGION_INFO.
pub(super) fn region_info(argsz: u32, index: u32) -> Bytes {
    info(argsz, index).u64(0).u64(0)
}

/// DEVICE_SET_IRQS; the bytes of DATA_BOOL follow.
pub(super) fn irqs(flags: u32, index: u32, start: u32, count: u32) -> Bytes {
    Bytes::new()
        .u32(20)
        .u32(flags)
        .u32(index)
        .u32(start)
        .u32(count)
}

/// REGION_READ, and REGION_WRITE before its data.
pub(super) fn access(region: u32, offset: u64, count: u32) -> Bytes {
    Bytes::new().u64(offset).u32(region).u32(count)
}

/// DMA_MAP from the start of the file.
pub(super) fn dma_map(flags: u32, address: u64, size: u64) -> Bytes {
    Bytes::new()
        .u32(32)
        .u32(flags)
        .u64(0)
        .u64(address)
        .u64(size)
}

/// DMA_UNMAP.
pub(super) fn dma_unmap(argsz: u32, flags: u32, address: u64, size: u64) -> Bytes {
    Bytes::new().u32(argsz).u32(flags).u64(address).u64(size)
}

/// DEVICE_FEATURE with a truthful argsz.
pub(super) fn feature(flags: u32, data: &[u8]) -> Bytes {
    Bytes::new()
        .u32(8 + data.len() as u32)
        .u32(flags)
        .bytes(data)
}
