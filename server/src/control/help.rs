//! What the verbs mean: the same words on the control socket and on the command line.
//!
//! They are written once, as the doc comments of [`Verb`] and its arguments. `verbs.json` is made from
//! these, so that a server without a command line has them, too; a test says when it has to be made
//! again.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::Verb;

static HELP: LazyLock<Vec<VerbHelp>> = LazyLock::new(|| {
    // A test reads the same text.
    serde_json::from_str(include_str!("verbs.json")).unwrap_or_default()
});

/// What there is to know about a verb before using it.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct VerbHelp {
    /// The verb.
    pub verb: String,
    /// Its arguments: member names, in command line order.
    pub arguments: Vec<ArgumentHelp>,
    /// What it does.
    pub about: String,
}

/// What there is to know about an argument.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ArgumentHelp {
    /// Member name.
    pub name: String,
    /// Whether it must be given.
    pub required: bool,
    /// How the command line has it, where it is no word in order of the fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub option: Option<String>,
    /// What it may be, where that is a closed list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
    /// What it means.
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
