//! The steps that compare what a client or the control socket finds with what has to come.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{ACCESS, Function, little_endian};
use crate::raw::wire::{self, field_u32, field_u64};
use crate::table::connecting::config;
use crate::table::request::{Address, Request};
use crate::table::step::{EventKind, Expected};

impl Function {
    pub(super) fn expect_value(&mut self, request: &Request, expected: Expected) -> Result<()> {
        let reply = self.request(request)?.success()?;
        let data = reply.get(ACCESS..).unwrap_or_default();
        let (found, width) = (little_endian(data), 2 * data.len());
        ensure!(
            found & expected.mask == expected.value,
            "reads {found:0width$x} at {:x}",
            field_u64(&reply, 0)
        );
        Ok(())
    }

    pub(super) fn expect_count(&mut self, request: &Request, expected: u32) -> Result<()> {
        let reply = self.request(request)?.success()?;
        let found = field_u32(&reply, ACCESS - 4);
        let data = reply.len() - ACCESS;
        let carried = if matches!(request, Request::Read(_)) {
            found as usize
        } else {
            0
        };
        ensure!(
            found == expected && data == carried,
            "the reply says {found} bytes and carries {data}"
        );
        Ok(())
    }

    pub(super) fn expect_refusal(&mut self, errno: u32, request: &Request) -> Result<()> {
        let found = self.request(request)?.failure()?;
        ensure!(found == errno, "failed with {}", wire::name(found));
        Ok(())
    }

    pub(super) fn expect_unchanged(&mut self, but: &[(Address, u32)]) -> Result<()> {
        ensure!(!self.remembered.is_empty(), "nothing was remembered");
        let mut exempt = BTreeMap::new();
        for (address, mask) in but {
            *exempt.entry(self.offset(*address)?).or_insert(0) |= *mask;
        }
        let now = config(self.client()?)?;
        for (offset, (was, is)) in (0..)
            .step_by(4)
            .zip(self.remembered.chunks(4).zip(now.chunks(4)))
        {
            let (was, is) = (little_endian(was), little_endian(is));
            let changed = (was ^ is) & !exempt.get(&offset).copied().unwrap_or(0);
            ensure!(changed == 0, "{offset:03x} was {was:08x} and is {is:08x}");
        }
        Ok(())
    }

    /// Checks the output of lspci for the config space. The dump has the form of `lspci -xxxx`.
    pub(super) fn expect_lspci(&mut self, text: &str) -> Result<()> {
        let mut dump = String::from("00:00.0 function\n");
        for (line, bytes) in config(self.client()?)?.chunks(16).enumerate() {
            write!(dump, "{:02x}:", 16 * line)?;
            for byte in bytes {
                write!(dump, " {byte:02x}")?;
            }
            dump.push('\n');
        }
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("dump");
        fs::write(&path, dump)?;
        let lspci = Command::new("lspci")
            .args(["-vvv", "-F"])
            .arg(&path)
            .output();
        let lspci = lspci.context("this row needs lspci, of the package pciutils")?;
        let said = String::from_utf8_lossy(&lspci.stdout);
        ensure!(
            said.contains(text),
            "lspci says:\n{said}{}",
            String::from_utf8_lossy(&lspci.stderr)
        );
        Ok(())
    }

    pub(super) fn expect_events(&mut self, kind: &EventKind, expected: usize) -> Result<()> {
        self.events.extend(self.control.events()?);
        let before = self.events.len();
        let seen = format!("{:?}", self.events);
        self.events.retain(|event| !kind.is(event));
        let found = before - self.events.len();
        ensure!(
            found == expected,
            "{found} came; events not asked for yet: {seen}"
        );
        Ok(())
    }

    pub(super) fn expect_order(&mut self, first: &str, second: &str) -> Result<()> {
        self.events.extend(self.control.events()?);
        let at = |name| self.events.iter().position(|event| event["event"] == name);
        let (Some(earlier), Some(later)) = (at(first), at(second)) else {
            anyhow::bail!("one of them did not come: {:?}", self.events);
        };
        ensure!(earlier < later, "{second} came first: {:?}", self.events);
        Ok(())
    }
}
