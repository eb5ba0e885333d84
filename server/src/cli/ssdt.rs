//! `dormouse ssdt`: writes the ACPI table to a file.

use std::fs;
use std::path::Path;

use crate::ssdt;
use anyhow::Context;

use super::args::SsdtArguments;
use super::failure::Failure;

pub fn run(arguments: &SsdtArguments) -> Result<(), Failure> {
    let SsdtArguments { path, port, output } = arguments;
    let table = ssdt::table(path, *port);
    if output == Path::new("-") {
        super::print(table)?;
    } else {
        fs::write(output, &table).with_context(|| format!("writing {}", output.display()))?;
    }
    Ok(())
}
