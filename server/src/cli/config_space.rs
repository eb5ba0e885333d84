//! `dormouse config-space`: prints config space in the hex format of `lspci -xxxx` and `lspci -F`.

use pci_device_models::model::Registry;
use pci_device_models::profile::hex_dump;

use super::args::Setting;
use super::failure::Failure;
use super::profiles;

pub fn run(name_or_file: &str, set: &[Setting], registry: &Registry) -> Result<(), Failure> {
    let card = profiles::find(name_or_file, set, registry)?;
    let dumps = card
        .functions()
        .map(|(number, profile)| hex_dump(number, profile.name(), profile.config_space()));
    super::print(dumps.collect::<String>())
}
