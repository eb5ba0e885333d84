//! `dormouse ssdt`: writes the ACPI table to a file.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::ssdt::{Controller, Letters};
use anyhow::Context;

use super::args::SsdtArguments;
use super::failure::Failure;

pub fn run(arguments: &SsdtArguments) -> Result<(), Failure> {
    let table = table(arguments)?;
    let output = &arguments.output;
    if output == Path::new("-") {
        super::print(table)?;
    } else {
        fs::write(output, &table).with_context(|| format!("writing {}", output.display()))?;
    }
    Ok(())
}

fn table(arguments: &SsdtArguments) -> Result<Vec<u8>, Failure> {
    let on_delay = Duration::from_millis(arguments.on_delay.into());
    match (&arguments.controller, &arguments.path) {
        (Some(controller), _) => {
            let slots = arguments.slot.clone();
            let made = Controller::new(controller.clone(), arguments.gsi, slots, on_delay);
            let made = made.map_err(|error| Failure::Usage(error.to_string()))?;
            Ok(made.table())
        }
        (None, Some(path)) => Ok(Letters::new(path.clone(), arguments.port, on_delay).table()),
        (None, None) => Err(Failure::Usage(
            "give --path, or --controller and --slot".to_owned(),
        )),
    }
}
