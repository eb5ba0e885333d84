//! `--function SPEC`: a function among several in one process.

use std::os::fd::RawFd;
use std::path::PathBuf;
use std::str::FromStr;

use pci_device_models::fault::Fault;
use pci_device_models::slot::FunctionNumber;

use super::args::{ServeArguments, Setting};

/// A function to serve, as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spec {
    pub profile: Option<String>,
    pub name: Option<String>,
    /// The slot that it shares with other functions. Without one it has a slot of its own.
    pub slot: Option<String>,
    pub number: Option<FunctionNumber>,
    pub socket: Option<Socket>,
    pub ctl_path: Option<PathBuf>,
    pub rail_path: Option<PathBuf>,
    pub restore: Option<PathBuf>,
    pub set: Vec<Setting>,
    pub faults: Vec<Fault>,
}

/// The socket of a function, as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Socket {
    Path(PathBuf),
    /// A descriptor for each function, in the order of their numbers.
    Fds(Vec<RawFd>),
}

impl From<&ServeArguments> for Spec {
    /// The single function of a command line without `--function`.
    fn from(arguments: &ServeArguments) -> Self {
        let path = arguments.socket_path.clone().map(Socket::Path);
        let fds = Some(arguments.fd.clone()).filter(|fds| !fds.is_empty());
        Self {
            profile: arguments.profile.clone(),
            name: None,
            slot: None,
            number: None,
            socket: path.or(fds.map(Socket::Fds)),
            ctl_path: arguments.ctl_path.clone(),
            rail_path: arguments.rail_path.clone(),
            restore: arguments.restore.clone(),
            set: arguments.set.clone(),
            faults: arguments.fault.clone(),
        }
    }
}

impl FromStr for Spec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut spec = Self::default();
        for item in split_at_single_commas(text) {
            let (key, value) = item
                .split_once('=')
                .ok_or_else(|| format!("'{item}' is not KEY=VALUE"))?;
            let twice = match key {
                "profile" => spec.profile.replace(value.to_owned()).is_some(),
                "name" => spec.name.replace(value.to_owned()).is_some(),
                "slot" => spec.slot.replace(value.to_owned()).is_some(),
                "number" => {
                    let number = value.parse::<u8>().ok();
                    let number = number.and_then(|number| FunctionNumber::try_from(number).ok());
                    let number = number
                        .ok_or_else(|| format!("number={value}: expected a number from 0 to 7"))?;
                    spec.number.replace(number).is_some()
                }
                "ctl-path" => spec.ctl_path.replace(value.into()).is_some(),
                "rail-path" => spec.rail_path.replace(value.into()).is_some(),
                "restore" => spec.restore.replace(value.into()).is_some(),
                "fault" => {
                    let fault = value
                        .parse()
                        .map_err(|error| format!("fault={value}: {error}"))?;
                    spec.faults.push(fault);
                    false
                }
                "socket-path" => spec.socket.replace(Socket::Path(value.into())).is_some(),
                "fd" => {
                    let numbers = value.split(',').map(str::parse);
                    let numbers = numbers
                        .collect::<Result<_, _>>()
                        .map_err(|_| format!("fd={value}: expected a descriptor number"))?;
                    spec.socket.replace(Socket::Fds(numbers)).is_some()
                }
                _ => {
                    let key = key.strip_prefix("set:").filter(|key| !key.is_empty());
                    let key = key.ok_or_else(|| unknown(&item))?;
                    spec.set.push((key.to_owned(), value.to_owned()));
                    false
                }
            };
            if twice {
                return Err(format!(
                    "'{item}' repeats a key; give profile, name, slot, number, ctl-path, rail-path, \
                     restore and one of socket-path and fd at most once each"
                ));
            }
        }
        if spec.number.is_some() && spec.slot.is_none() {
            return Err("a number needs a slot; add slot=NAME".to_owned());
        }
        Ok(spec)
    }
}

fn unknown(item: &str) -> String {
    format!(
        "'{item}': unknown key; the keys are profile, name, slot, number, socket-path, fd, ctl-path, \
         rail-path, restore, fault and set:KEY; write a comma inside a value as two commas"
    )
}

/// The items of a list in which `,,` stands for a comma.
fn split_at_single_commas(text: &str) -> Vec<String> {
    let mut items = vec![String::new()];
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if c == ',' && rest.next_if_eq(&',').is_none() {
            items.push(String::new());
        } else if let Some(item) = items.last_mut() {
            item.push(c);
        }
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_spec() {
        let spec: Spec = "profile=nvme,name=disk,slot=s,number=2,socket-path=/run/a,,b,ctl-path=c,rail-path=d,\
                          restore=e,fault=when=now,,what=not-ready 1s,set:identity.revision=2,set:capabilities.pm.pme-from=[\"d0\",,\"d3hot\"]"
            .parse()
            .unwrap();
        let setting = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(
            spec,
            Spec {
                profile: Some("nvme".to_owned()),
                name: Some("disk".to_owned()),
                slot: Some("s".to_owned()),
                number: FunctionNumber::try_from(2).ok(),
                socket: Some(Socket::Path("/run/a,b".into())),
                ctl_path: Some("c".into()),
                rail_path: Some("d".into()),
                restore: Some("e".into()),
                faults: vec![Fault::new("now", "not-ready 1s").unwrap()],
                set: vec![
                    setting("identity.revision", "2"),
                    setting("capabilities.pm.pme-from", r#"["d0","d3hot"]"#),
                ],
            }
        );
    }

    #[test]
    fn a_card_takes_several_descriptors() {
        let spec: Spec = "profile=gpu-card,fd=3,,4".parse().unwrap();
        assert_eq!(spec.socket, Some(Socket::Fds(vec![3, 4])));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (text, expected) in [
            ("", "'' is not KEY=VALUE"),
            ("profile", "'profile' is not KEY=VALUE"),
            ("fd=three", "expected a descriptor number"),
            ("fd=3,,", "expected a descriptor number"),
            ("fd=3,socket-path=x", "repeats a key"),
            ("profile=a,profile=b", "repeats a key"),
            ("slot=a,number=8", "expected a number from 0 to 7"),
            ("number=1", "add slot=NAME"),
            ("rail-path=a,rail-path=b", "repeats a key"),
            ("restore=a,restore=b", "repeats a key"),
            ("colour=red", "the keys are"),
            ("set:=1", "the keys are"),
        ] {
            let error = text.parse::<Spec>().unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
