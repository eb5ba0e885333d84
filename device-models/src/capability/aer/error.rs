//! The errors that a function can report, and their severities (PCIe Base §6.2.7).

use serde::{Deserialize, Serialize};

/// The severity of an error, which decides the message that reports it (PCIe Base §6.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorSeverity {
    /// Hardware has corrected the error: `ERR_COR`.
    Correctable,
    /// A transaction failed, and the link works: `ERR_NONFATAL`.
    NonFatal,
    /// The link is unreliable: `ERR_FATAL`.
    Fatal,
}

/// Messages about errors: those that wait, at most one of each severity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ErrorMessages {
    pub(crate) correctable: bool,
    pub(crate) non_fatal: bool,
    pub(crate) fatal: bool,
}

impl ErrorMessages {
    pub(crate) fn are_none(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) const fn add(&mut self, severity: ErrorSeverity) {
        match severity {
            ErrorSeverity::Correctable => self.correctable = true,
            ErrorSeverity::NonFatal => self.non_fatal = true,
            ErrorSeverity::Fatal => self.fatal = true,
        }
    }
}

/// The registers to which an error belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorClass {
    Correctable,
    /// The severity is one of the function's settings. Without Advanced Error Reporting it is this one.
    Uncorrectable(ErrorSeverity),
}

/// The cases in which an error of non-fatal severity is an advisory one (PCIe Base §6.2.3.2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Advisory {
    Never,
    /// If the request was non-posted, or the function goes on in spite of the error.
    Sometimes,
    Always,
}

/// The errors whose header is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogsHeader {
    No,
    /// With Completion Timeout Prefix/Header Log Capable.
    IfCapable,
    Yes,
}

/// An error that a function can detect.
#[derive(Debug)]
pub(crate) struct ErrorKind {
    /// The specification's name in lower case with dashes.
    pub(crate) name: &'static str,
    pub(crate) class: ErrorClass,
    /// The number of its bit in the status, mask and severity registers.
    pub(crate) bit: u8,
    pub(crate) header: LogsHeader,
    /// A TLP that the function received caused the error.
    pub(crate) by_tlp: bool,
    pub(crate) advisory: Advisory,
}

impl PartialEq for ErrorKind {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for ErrorKind {}

const fn correctable(name: &'static str, bit: u8, by_tlp: bool) -> ErrorKind {
    ErrorKind {
        name,
        class: ErrorClass::Correctable,
        bit,
        header: LogsHeader::No,
        by_tlp,
        advisory: Advisory::Never,
    }
}

/// Returns an error that no received TLP caused.
const fn own(name: &'static str, bit: u8, severity: ErrorSeverity) -> ErrorKind {
    ErrorKind {
        name,
        class: ErrorClass::Uncorrectable(severity),
        bit,
        header: LogsHeader::No,
        by_tlp: false,
        advisory: Advisory::Never,
    }
}

/// Returns an error of a received TLP, whose header is recorded.
const fn of_tlp(
    name: &'static str,
    bit: u8,
    severity: ErrorSeverity,
    advisory: Advisory,
) -> ErrorKind {
    ErrorKind {
        name,
        class: ErrorClass::Uncorrectable(severity),
        bit,
        header: LogsHeader::Yes,
        by_tlp: true,
        advisory,
    }
}

use Advisory::{Always, Never, Sometimes};
use ErrorSeverity::{Fatal, NonFatal};

/// A request that the function does not support, or cannot serve in its present state.
pub(crate) static UNSUPPORTED_REQUEST: ErrorKind =
    of_tlp("unsupported-request", 20, NonFatal, Sometimes);
/// A TLP whose data the sender has marked as wrong.
pub(crate) static POISONED_TLP: ErrorKind = of_tlp("poisoned-tlp", 12, NonFatal, Sometimes);
/// A request that the function could not complete.
pub(crate) static COMPLETER_ABORT: ErrorKind = of_tlp("completer-abort", 15, NonFatal, Sometimes);
/// An error whose header could not be recorded.
pub(super) static HEADER_LOG_OVERFLOW: ErrorKind = correctable("header-log-overflow", 15, false);

static OTHERS: [ErrorKind; 20] = [
    correctable("receiver-error", 0, false),
    correctable("bad-tlp", 6, true),
    correctable("bad-dllp", 7, false),
    correctable("replay-rollover", 8, false),
    correctable("replay-timeout", 12, false),
    correctable("corrected-internal", 14, false),
    own("data-link-protocol", 4, Fatal),
    own("surprise-down", 5, Fatal),
    own("flow-control", 13, Fatal),
    ErrorKind {
        header: LogsHeader::IfCapable,
        advisory: Sometimes,
        ..own("completion-timeout", 14, NonFatal)
    },
    of_tlp("unexpected-completion", 16, NonFatal, Always),
    own("receiver-overflow", 17, Fatal),
    of_tlp("malformed-tlp", 18, Fatal, Never),
    of_tlp("ecrc", 19, NonFatal, Never),
    of_tlp("acs-violation", 21, NonFatal, Sometimes),
    own("internal", 22, Fatal),
    of_tlp("mc-blocked-tlp", 23, NonFatal, Never),
    of_tlp("atomicop-egress-blocked", 24, NonFatal, Never),
    of_tlp("tlp-prefix-blocked", 25, NonFatal, Never),
    of_tlp("poisoned-egress-blocked", 26, NonFatal, Never),
];

impl ErrorKind {
    /// Returns all errors: the correctable ones first, each by the number of its bit.
    pub(crate) fn all() -> Vec<&'static Self> {
        let named = [
            &UNSUPPORTED_REQUEST,
            &POISONED_TLP,
            &COMPLETER_ABORT,
            &HEADER_LOG_OVERFLOW,
        ];
        let mut all: Vec<&'static Self> = OTHERS.iter().chain(named).collect();
        all.sort_by_key(|kind| (kind.class != ErrorClass::Correctable, kind.bit));
        all
    }

    /// Returns the error of this name.
    pub(crate) fn of_name(name: &str) -> Option<&'static Self> {
        Self::all().into_iter().find(|kind| kind.name == name)
    }

    /// Returns the bit of the error in its registers.
    pub(crate) const fn mask(&self) -> u32 {
        1 << self.bit
    }

    /// Returns whether a function without Advanced Error Reporting can report the error.
    pub(crate) const fn is_baseline(&self) -> bool {
        match self.class {
            ErrorClass::Correctable => self.bit <= 12,
            ErrorClass::Uncorrectable(_) => self.bit <= 18 || self.bit == 20,
        }
    }
}

/// An error that the function has detected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DetectedError {
    pub(crate) kind: &'static ErrorKind,
    /// The error is one of the cases in which it can be advisory.
    pub(crate) advisory: bool,
    /// The header of the TLP, and zeros if there is none.
    pub(crate) header: [u32; 4],
    /// The End-End TLP Prefixes of the TLP.
    pub(crate) prefixes: Option<[u32; 4]>,
}

impl DetectedError {
    /// Creates an error without a header.
    pub(crate) const fn new(kind: &'static ErrorKind) -> Self {
        Self {
            kind,
            advisory: false,
            header: [0; 4],
            prefixes: None,
        }
    }
}
