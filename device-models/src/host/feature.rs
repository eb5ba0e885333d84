//! `VFIO_DEVICE_FEATURE` requests as they reach the host driver.

use super::error::HostError;

/// Bits of the flags word (VFIO uAPI).
const INDEX: u32 = 0x0000_ffff;
pub(super) const GET: u32 = 1 << 16;
pub(super) const SET: u32 = 1 << 17;
pub(super) const PROBE: u32 = 1 << 18;

/// Bytes of `struct vfio_device_feature` before its data.
pub(super) const HEADER: u32 = 8;

/// The file descriptor that came with a request, as far as the device cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachedFd {
    /// None.
    None,
    /// One eventfd.
    Eventfd,
    /// One descriptor of another kind.
    Other,
    /// More than one.
    Many,
}

/// A device feature request: argsz, flags and data of `struct vfio_device_feature`.
#[derive(Clone, Copy, Debug)]
pub struct FeatureCall<'a> {
    /// Room that the client says it has, header included.
    pub argsz: u32,
    /// Feature number and operation bits.
    pub flags: u32,
    /// What follows the header.
    pub data: &'a [u8],
    /// What came beside it.
    pub fd: AttachedFd,
}

/// What a feature request came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeatureReply {
    /// Done; the reply repeats the request.
    Done,
    /// Done, and the eventfd that came is the wake-up eventfd from now on. The caller performs
    /// what the device has put out before it stores it.
    Armed,
    /// The data of a GET.
    Data([u8; 8]),
}

impl FeatureCall<'_> {
    /// Feature number.
    pub(super) const fn feature(&self) -> u16 {
        (self.flags & INDEX) as u16
    }

    pub(super) const fn has(&self, operation: u32) -> bool {
        self.flags & operation != 0
    }

    /// The header's own rules (`vfio_ioctl_device_feature`).
    pub(super) fn check_header(&self) -> Result<(), HostError> {
        let refuse = |what| Err(HostError::Feature { what });
        if self.argsz < HEADER {
            return refuse("argsz is less than the header's 8 bytes");
        }
        if self.flags & !(INDEX | GET | SET | PROBE) != 0 {
            return refuse("an unknown flag is set; GET, SET and PROBE exist");
        }
        if self.has(GET) && self.has(SET) && !self.has(PROBE) {
            return refuse("GET and SET exclude each other except with PROBE");
        }
        Ok(())
    }

    /// The rules of a feature with these operations and data of this size (`vfio_check_feature`).
    /// `false`: it was a probe and there is nothing to do.
    pub(super) fn check(&self, supported: u32, size: u32) -> Result<bool, HostError> {
        let refuse = |what| Err(HostError::Feature { what });
        if self.flags & (GET | SET) & !supported != 0 {
            return refuse("this feature does not have the operation");
        }
        if self.has(PROBE) {
            return Ok(false);
        }
        if self.flags & (GET | SET) == 0 {
            return refuse("no operation; GET, SET and PROBE exist");
        }
        if self.argsz - HEADER < size {
            return refuse("argsz is less than header and data");
        }
        Ok(true)
    }

    /// The 32-bit word at byte `offset` of the data.
    pub(super) fn word(&self, offset: usize) -> Result<u32, HostError> {
        self.data
            .get(offset..offset + 4)
            .and_then(|bytes| bytes.try_into().ok())
            .map(u32::from_ne_bytes)
            .ok_or(HostError::Feature {
                what: "the message is shorter than header and data",
            })
    }
}
