//! Client memory.

use bitflags::bitflags;

use super::kernel;

bitflags! {
    /// Permissions for mapped memory (`VFIO_DMA_MAP_FLAG_*`) and the ways to access it
    /// (bits that vfio-user added).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct DmaMapFlags: u32 {
        /// The device may read.
        const READ = kernel::VFIO_DMA_MAP_FLAG_READ;
        /// The device may write.
        const WRITE = kernel::VFIO_DMA_MAP_FLAG_WRITE;
        /// The server must map the file.
        const ACCESS_MMAP = 1 << 2;
        /// The server must use file I/O.
        const ACCESS_FILE_IO = 1 << 3;
    }
}

bitflags! {
    /// Extensions of the plain unmap (`VFIO_DMA_UNMAP_FLAG_*`). They are mutually exclusive.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct DmaUnmapFlags: u32 {
        /// Return the dirty pages of the unmapped range.
        const GET_DIRTY_BITMAP = kernel::VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP;
        /// Remove everything; address and size are 0.
        const ALL = kernel::VFIO_DMA_UNMAP_FLAG_ALL;
    }
}
