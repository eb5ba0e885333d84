//! `VFIO_DEVICE_FEATURE` requests as they reach the host driver.

use vfio_user_protocol::messages::device_feature::power_management::PowerManagement;

/// The kind of file descriptor that came with a request.
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

/// The result of a feature request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeatureReply {
    /// Done; the reply repeats the request.
    Done,
    /// Done. The eventfd that came is the wake-up eventfd from now on. The caller performs the
    /// device's outputs before it stores the eventfd.
    Armed,
    /// The data of a GET of POWER_MANAGEMENT, the only feature of the device that can be read.
    PowerManagement(PowerManagement),
}
