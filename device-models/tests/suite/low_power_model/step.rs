//! The events of a device's life, and their choice at random.

use pci_device_models::host::{
    AttachedFd, FaultSpan, PmDialect, PowerControl, ResumeFault, SuspendDelay, View,
};
use proptest::prelude::*;
use std::time::Duration;
use vfio_user_protocol::Errno;
use vfio_user_protocol::messages::device_feature::Request;
use vfio_user_protocol::vfio::Operation;

/// The options that a device is built with.
#[derive(Clone, Copy, Debug)]
pub struct Knobs {
    pub view: View,
    pub dialect: PmDialect,
    /// `d0`, `d3hot` or `d3cold`.
    pub deepest: &'static str,
    pub no_soft_reset: bool,
    pub delay: SuspendDelay,
    pub extra_open_gets: u32,
    pub reset_works: bool,
    /// The built-in rule of the v4 dialect about display functions of one vendor holds.
    pub nvidia_display: bool,
}

impl Knobs {
    pub fn profile(&self) -> String {
        let view = match self.view {
            View::Hardware => "hardware",
            View::VfioPci => "vfio-pci",
        };
        let dialect = match self.dialect {
            PmDialect::Mainline => "mainline",
            PmDialect::V4 => "v4",
        };
        let delay = match self.delay {
            SuspendDelay::After(delay) => delay.as_millis().to_string(),
            SuspendDelay::Manual => "\"manual\"".to_owned(),
        };
        let (vendor, class) = if self.nvidia_display {
            (0x10de, 0x03_0000)
        } else {
            (0x1234, 0xff_0000)
        };
        let Self {
            deepest,
            no_soft_reset,
            extra_open_gets,
            reset_works,
            ..
        } = self;
        format!(
            r#"
name = "sleeper"
model = "ram"
[identity]
vendor-id = {vendor}
device-id = 1
class = {class}
interrupt-pin = "A"
[[bar]]
index = 0
kind = "memory32"
size = 0x1000
[capabilities.pm]
offset = 0x40
d2 = true
no-soft-reset = {no_soft_reset}
pme-from = ["d0", "d3hot", "d3cold"]
[capabilities.pcie]
offset = 0x50
flr = true
[platform]
deepest-state = "{deepest}"
delays = "off"
[host]
view = "{view}"
pm-dialect = "{dialect}"
suspend-delay-ms = {delay}
extra-open-gets = {extra_open_gets}
reset-works = {reset_works}
max-clients = 2
"#
        )
    }
}

/// A device feature request, by what is meant or wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// SET 3 without data.
    Set3,
    /// SET 3 with these flags as data.
    Set3Flags(u32),
    /// SET 4 with a good eventfd.
    Set4,
    /// SET 5.
    Set5,
    /// PROBE of this index.
    Probe(u16),
    /// GET 3 with room for data.
    Get3,
    /// argsz 4.
    ShortHeader,
    /// Flag bit 19.
    UnknownFlag,
    /// GET and SET of 3.
    GetSet3,
    /// GET 5.
    Get5,
    /// Index 3 without an operation.
    Nothing3,
    /// SET of index 9.
    Unknown,
    /// SET 4 with argsz 12.
    Set4Short,
    /// SET 4 with wakeup_eventfd -1.
    Set4Negative,
    /// SET 4 without a descriptor.
    Set4NoFd,
    /// SET 4 with a descriptor that is no eventfd.
    Set4OtherFd,
}

impl Feature {
    /// Calls `ask` with the request.
    pub fn ask<R>(self, ask: impl FnOnce(&Request<'_>, AttachedFd) -> R) -> R {
        const GET: u32 = Operation::GET.bits();
        const SET: u32 = Operation::SET.bits();
        const PROBE: u32 = Operation::PROBE.bits();
        let (argsz, flags, first, fd) = match self {
            Self::Set3 => (8, SET | 3, 0, AttachedFd::None),
            Self::Set3Flags(flags) => (16, SET | 3, flags, AttachedFd::None),
            Self::Set4 => (16, SET | 4, 0, AttachedFd::Eventfd),
            Self::Set5 => (8, SET | 5, 0, AttachedFd::None),
            Self::Probe(index) => (8, PROBE | u32::from(index), 0, AttachedFd::None),
            Self::Get3 => (16, GET | 3, 0, AttachedFd::None),
            Self::ShortHeader => (4, SET | 3, 0, AttachedFd::None),
            Self::UnknownFlag => (16, SET | 1 << 19 | 3, 0, AttachedFd::None),
            Self::GetSet3 => (16, GET | SET | 3, 0, AttachedFd::None),
            Self::Get5 => (8, GET | 5, 0, AttachedFd::None),
            Self::Nothing3 => (16, 3, 0, AttachedFd::None),
            Self::Unknown => (16, SET | 9, 0, AttachedFd::None),
            Self::Set4Short => (12, SET | 4, 0, AttachedFd::Eventfd),
            Self::Set4Negative => (16, SET | 4, u32::MAX, AttachedFd::None),
            Self::Set4NoFd => (16, SET | 4, 0, AttachedFd::None),
            Self::Set4OtherFd => (16, SET | 4, 0, AttachedFd::Other),
        };
        let payload = [argsz, flags, first, 0].map(u32::to_ne_bytes);
        let request = Request::read(payload.as_flattened());
        ask(&request.expect("it has a header"), fd)
    }
}

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    // The client.
    Open,
    Close,
    ReadPmcsr,
    /// PowerState, and PME_En and PME_Status.
    WritePmcsr(u8, bool, bool),
    ReadCommand,
    /// Memory Space Enable and Interrupt Disable.
    WriteCommand(bool, bool),
    ConfigFlr,
    /// Past config space.
    ReadOutside,
    ReadNothing,
    ReadNoRegion,
    ReadBar,
    WriteBar(u32),
    Info,
    RegionInfo,
    IrqInfo(u32),
    Reset,
    Feature(Feature),
    BindIntx,
    DisableIntx,
    MaskIntx,
    UnmaskIntx,
    Resample,
    /// The wake event of the v4 dialect.
    BindPme(bool),
    // The host.
    HostAccess,
    Control(PowerControl),
    D3coldAllowed(bool),
    SuspendNow,
    SuspendDelay(SuspendDelay),
    // Faults.
    ResumeFault(Option<ResumeFault>),
    ResetBusy(bool),
    DeadAfterCold(bool),
    // The function.
    Pme,
    Intx(bool),
    // Time, in ms.
    Wait(u64),
}

fn delays() -> impl Strategy<Value = SuspendDelay> {
    prop_oneof![
        Just(SuspendDelay::After(Duration::ZERO)),
        Just(SuspendDelay::After(Duration::from_millis(5))),
        Just(SuspendDelay::Manual),
    ]
}

pub fn knobs() -> impl Strategy<Value = Knobs> {
    (
        any::<bool>(),
        any::<bool>(),
        prop::sample::select(vec!["d0", "d3hot", "d3cold", "d3cold"]),
        any::<bool>(),
        delays(),
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.9),
        prop::bool::weighted(0.3),
    )
        .prop_map(
            |(vfio, v4, deepest, no_soft_reset, delay, extra, reset_works, nvidia_display)| Knobs {
                view: if vfio { View::VfioPci } else { View::Hardware },
                dialect: if v4 {
                    PmDialect::V4
                } else {
                    PmDialect::Mainline
                },
                deepest,
                no_soft_reset,
                delay,
                extra_open_gets: u32::from(extra),
                reset_works,
                nvidia_display,
            },
        )
}

fn features() -> impl Strategy<Value = Feature> {
    use Feature::{
        Get3, Get5, GetSet3, Nothing3, Probe, Set3, Set3Flags, Set4, Set4Negative, Set4NoFd,
        Set4OtherFd, Set4Short, Set5, ShortHeader, Unknown, UnknownFlag,
    };
    prop_oneof![
        6 => Just(Set3),
        6 => Just(Set4),
        3 => Just(Set5),
        6 => Just(Set3Flags(1)),
        3 => Just(Set3Flags(2)),
        2 => Just(Set3Flags(5)),
        3 => prop::sample::select(vec![
            Probe(3), Probe(4), Probe(5), Get3, ShortHeader, UnknownFlag, GetSet3, Get5, Nothing3,
            Unknown, Set4Short, Set4Negative, Set4NoFd, Set4OtherFd, Set3Flags(0), Set3Flags(3),
            Set3Flags(4), Set3Flags(6), Set3Flags(8),
        ]),
    ]
}

fn faults() -> impl Strategy<Value = Option<ResumeFault>> {
    let span = prop_oneof![
        4 => (1_u32..3).prop_map(FaultSpan::Times),
        1 => Just(FaultSpan::Always),
        1 => Just(FaultSpan::Latch),
    ];
    let fault = (
        prop::sample::select(vec![Errno::EIO, Errno::EBUSY, Errno::ETIMEDOUT]),
        span,
    );
    prop_oneof![
        2 => Just(None),
        1 => fault.prop_map(|(errno, span)| Some(ResumeFault { errno, span })),
    ]
}

/// Lives of `len` steps on average.
pub fn steps(len: usize) -> impl Strategy<Value = Vec<Step>> {
    let client = prop_oneof![
        6 => Just(Step::Open),
        1 => Just(Step::Close),
        3 => Just(Step::ReadPmcsr),
        4 => (0_u8..4, any::<bool>(), any::<bool>())
            .prop_map(|(state, enable, clear)| Step::WritePmcsr(state, enable, clear)),
        2 => Just(Step::ReadCommand),
        3 => (prop::bool::weighted(0.8), prop::bool::weighted(0.2))
            .prop_map(|(memory, disable)| Step::WriteCommand(memory, disable)),
        1 => Just(Step::ConfigFlr),
        3 => Just(Step::ReadBar),
        3 => any::<u32>().prop_map(Step::WriteBar),
        3 => prop::sample::select(vec![
            Step::ReadOutside, Step::ReadNothing, Step::ReadNoRegion, Step::Info, Step::RegionInfo,
        ]),
        1 => (0_u32..7).prop_map(Step::IrqInfo),
        1 => Just(Step::Reset),
        14 => features().prop_map(Step::Feature),
        3 => Just(Step::BindIntx),
        1 => Just(Step::DisableIntx),
        1 => Just(Step::MaskIntx),
        2 => Just(Step::UnmaskIntx),
        1 => Just(Step::Resample),
        2 => prop::bool::weighted(0.8).prop_map(Step::BindPme),
    ];
    let host = prop_oneof![
        4 => Just(Step::HostAccess),
        2 => Just(Step::Control(PowerControl::Auto)),
        1 => Just(Step::Control(PowerControl::On)),
        1 => any::<bool>().prop_map(Step::D3coldAllowed),
        6 => Just(Step::SuspendNow),
        1 => delays().prop_map(Step::SuspendDelay),
    ];
    let fault = prop_oneof![
        3 => faults().prop_map(Step::ResumeFault),
        1 => any::<bool>().prop_map(Step::ResetBusy),
        1 => any::<bool>().prop_map(Step::DeadAfterCold),
    ];
    let function = prop_oneof![
        Just(Step::Pme),
        Just(Step::Intx(true)),
        Just(Step::Intx(false))
    ];
    let time = prop::sample::select(vec![1, 5, 20, 400, 1500]).prop_map(Step::Wait);
    let step = prop_oneof![20 => client, 5 => host, 1 => fault, 3 => function, 4 => time];
    prop::collection::vec(step, 0..=2 * len)
}
