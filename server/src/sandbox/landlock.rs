//! Rules about files and, where the kernel knows how, about sockets and signals.

use std::fmt;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, PathBeneath, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetStatus, Scope,
};
use rustix::fs::{Mode, OFlags};

use super::{Sandbox, SandboxError};

/// The version of Landlock whose rules are applied as far as the kernel supports them.
const KNOWN: ABI = ABI::V9;

/// The extent to which Landlock is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LandlockLevel {
    /// Not in force: the settings disable it.
    Off,
    /// Not in force: the kernel has no Landlock, or it was disabled at boot.
    Missing,
    /// As much as this version of the kernel's interface knows.
    Abi(i32),
}

impl fmt::Display for LandlockLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Missing => f.write_str("missing in this kernel"),
            Self::Abi(version) => write!(f, "ABI {version}"),
        }
    }
}

/// Forbids all that Landlock knows to forbid, but for the state folders of `sandbox`.
pub(super) fn restrict(sandbox: &Sandbox) -> Result<LandlockLevel, SandboxError> {
    let folders = (sandbox.state_folders.iter()).map(|folder| open(folder));
    let folders = folders.collect::<Result<Vec<_>, _>>()?;
    restrict_to(&folders, save_and_restore())
}

/// Forbids all that Landlock knows to forbid, but for removing files in these folders.
pub(super) fn restrict_to_removal(folders: &[OwnedFd]) -> Result<LandlockLevel, SandboxError> {
    restrict_to(folders, AccessFs::RemoveFile.into())
}

fn restrict_to(
    folders: &[impl AsFd],
    access: BitFlags<AccessFs>,
) -> Result<LandlockLevel, SandboxError> {
    let failed = |error: landlock::RulesetError| SandboxError::Landlock(error.to_string());
    let ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(KNOWN))
        .and_then(|ruleset| ruleset.handle_access(AccessNet::from_all(KNOWN)))
        .and_then(|ruleset| ruleset.scope(Scope::from_all(KNOWN)))
        .and_then(Ruleset::create)
        .map_err(failed)?;
    let status = folders
        .iter()
        .try_fold(ruleset, |ruleset, folder| {
            ruleset.add_rule(PathBeneath::new(folder, access))
        })
        .and_then(RulesetCreated::restrict_self)
        .map_err(failed)?;
    Ok(match (status.ruleset, status.landlock) {
        (RulesetStatus::NotEnforced, _) => LandlockLevel::Missing,
        (_, LandlockStatus::Available { effective_abi, .. }) => {
            LandlockLevel::Abi(effective_abi as i32)
        }
        (_, _) => LandlockLevel::Missing,
    })
}

/// Returns the rights for saving and restoring a state: a save writes a file beside the one that it
/// replaces.
fn save_and_restore() -> BitFlags<AccessFs> {
    AccessFs::ReadFile
        | AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::MakeReg
        | AccessFs::RemoveFile
}

/// Opens a folder to name it in a rule.
fn open(folder: &Path) -> Result<OwnedFd, SandboxError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(folder, flags, Mode::empty()).map_err(|errno| SandboxError::Folder {
        path: folder.to_owned(),
        reason: errno.to_string(),
    })
}
