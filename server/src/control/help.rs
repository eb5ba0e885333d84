//! Help of the verbs, in the same words on the control socket and on the command line.
//!
//! The doc comments of [`Verb`] and its arguments are the only source. `verbs.json` is made from them, so
//! that a server without a command line has the help, too. A test fails when the file is out of date.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::Verb;

static HELP: LazyLock<Vec<VerbHelp>> = LazyLock::new(|| {
    // A test reads the same text.
    serde_json::from_str(include_str!("verbs.json")).unwrap_or_default()
});

/// The help of a verb.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct VerbHelp {
    /// The verb.
    pub verb: String,
    /// Its arguments: member names, in command line order.
    pub arguments: Vec<ArgumentHelp>,
    /// Description.
    pub about: String,
}

/// The help of an argument.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ArgumentHelp {
    /// Member name.
    pub name: String,
    /// The argument is mandatory.
    pub required: bool,
    /// Its option on the command line, unless it is positional.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub option: Option<String>,
    /// Its possible values, if they form a closed list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
    /// Description.
    pub about: String,
}

impl Verb {
    /// Returns all verbs, in order.
    #[must_use]
    pub fn all() -> &'static [VerbHelp] {
        &HELP
    }
}

#[cfg(all(test, feature = "cli"))]
mod tests {
    use clap::Subcommand;

    use super::*;

    /// With this variable set the test makes the file again instead of checking it.
    const UPDATE: &str = "UPDATE_VERBS_JSON";

    #[test]
    fn the_file_has_the_words_of_the_command_line() {
        let verbs = of_the_command_line();
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/control/verbs.json");
        if std::env::var_os(UPDATE).is_some() {
            let text = serde_json::to_string_pretty(&verbs).unwrap();
            std::fs::write(path, text + "\n").unwrap();
        } else {
            assert_eq!(Verb::all(), verbs, "run this test with {UPDATE}=1");
        }
    }

    fn of_the_command_line() -> Vec<VerbHelp> {
        Verb::augment_subcommands(clap::Command::new("ctl"))
            .get_subcommands()
            .map(|verb| VerbHelp {
                verb: verb.get_name().to_owned(),
                arguments: verb.get_arguments().map(argument_help).collect(),
                about: verb
                    .get_about()
                    .map(ToString::to_string)
                    .unwrap_or_default(),
            })
            .collect()
    }

    fn argument_help(argument: &clap::Arg) -> ArgumentHelp {
        let takes_value = argument.get_action().takes_values();
        let option = argument.get_long().map(|name| {
            if takes_value {
                format!("--{name} {}", name.to_uppercase())
            } else {
                format!("--{name}")
            }
        });
        ArgumentHelp {
            name: argument.get_id().to_string(),
            required: argument.is_required_set(),
            option,
            values: argument
                .get_possible_values()
                .iter()
                .map(|value| value.get_name().to_owned())
                .filter(|_| takes_value)
                .collect(),
            about: argument
                .get_help()
                .map(ToString::to_string)
                .unwrap_or_default(),
        }
    }
}
