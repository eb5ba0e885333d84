//! `VFIO_DEVICE_FEATURE` requests as they reach the host driver.

use vfio_user_protocol::messages::device_feature::power_management::PowerManagement;

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

/// What a feature request came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeatureReply {
    /// Done; the reply repeats the request.
    Done,
    /// Done, and the eventfd that came is the wake-up eventfd from now on. The caller performs
    /// what the device has put out before it stores it.
    Armed,
    /// The data of a GET of POWER_MANAGEMENT, the only feature of the device that can be read.
    PowerManagement(PowerManagement),
}
