//! Behaviour tables: the behaviour of a function, row by row, in words and in steps.
//!
//! A table is a TOML file under `tables/`. Its rows state in words the condition, the action and
//! the expected result, and in steps ([`step`]) the test of it through the socket. The same file
//! makes the page for people ([`page`]).
//!
//! ```toml
//! [[row]]
//! id = "P3"
//! given = "a function in D0"
//! when = "3 is written to PMCSR"
//! then = "PMCSR reads 000Bh: D3hot, No_Soft_Reset"
//! source = "PCIe Base §7.5.2.2"
//! profile = "A"                                       # of tables/profiles; "A B": once with each
//! steps = ["cfg2 pm+4 = 0003", "cfg2 pm+4 ? 000b"]    # "A+B": two functions in one server; a card: those of a slot
//! ```
//!
//! A row with variants has several `[[row.case]]`, each with `profile`, `set` (overrides of profile
//! keys) and `steps`. A row that cannot be tested here gives the reason in `not-here` and has no
//! steps.
//!
//! `[choices]` of a table names overrides: `hot = ["platform.deepest-state=d3hot"]`. A case is
//! tested with every combination of its choices: `with = "hot|cold keeps"` with two. A table's
//! `profile` applies to all its cases.
//!
//! In a table of dialects (`tables/vfio-pm.toml`) each row has a `dialect`: the name of a choice,
//! or `both`, which makes it two tests.

mod bench;
mod capabilities;
mod connecting;
pub mod faults;
pub mod files;
pub mod page;
mod request;
mod signals;
pub mod step;
pub mod traps;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use bench::Bench;
use step::Step;

/// A table of rows. By default they are behaviours.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Table<R = Row> {
    /// Heading of its page.
    pub title: String,
    /// Introduction for the reader of the page.
    pub introduction: String,
    /// The sections of the page, in order.
    pub section: Vec<Section>,
    /// The profile of rows and cases without one.
    #[serde(default)]
    profile: String,
    /// Overrides of profile keys, by the name of the choice.
    #[serde(default)]
    choices: BTreeMap<String, Vec<String>>,
    /// Words for steps of many rows.
    #[serde(default)]
    words: Words,
    /// The rows.
    pub row: Vec<R>,
}

/// A row of a table.
pub trait Listed: DeserializeOwned {
    /// Returns the letters of the row's section and its number, or only a number.
    fn id(&self) -> &str;

    /// Checks the row: it is tested or gives a reason, and every step is valid.
    ///
    /// # Errors
    /// The mistake.
    fn check(&self, table: &Table<Self>) -> Result<()>;
}

/// A section of a table's page.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Section {
    /// The rows of the section: the letter that their ids begin with, or their numbers as in
    /// `1-36`.
    pub rows: String,
    /// Heading.
    pub title: String,
}

impl Section {
    fn holds(&self, id: &str) -> bool {
        let number = |text: &str| text.parse::<u32>().ok();
        match self.rows.split_once('-') {
            Some((first, last)) => {
                number(id).is_some_and(|id| number(first) <= Some(id) && Some(id) <= number(last))
            }
            None => id.trim_end_matches(|c: char| c.is_ascii_digit()) == self.rows,
        }
    }
}

/// A row: one behaviour of a function.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Row {
    /// Letter of the section and number, or only a number.
    pub id: String,
    /// The dialect of low power for which it holds: a choice, or `both`.
    pub dialect: Option<String>,
    /// The condition.
    pub given: String,
    /// The action.
    pub when: String,
    /// The expected result.
    pub then: String,
    /// Source of the rule.
    pub source: String,
    /// Reason for which it cannot be tested here, and the place where it is.
    pub not_here: Option<String>,
    /// The only case.
    #[serde(default)]
    profile: String,
    #[serde(default)]
    with: String,
    #[serde(default)]
    set: Vec<String>,
    #[serde(default)]
    steps: Vec<String>,
    /// Several cases.
    #[serde(default)]
    case: Vec<Case>,
}

/// One way of testing a row.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    #[serde(default)]
    profile: String,
    /// Choices: words of alternatives with `|` between.
    #[serde(default)]
    with: String,
    #[serde(default)]
    set: Vec<String>,
    /// The only dialect that the case tests, in a row that holds for both.
    only: Option<String>,
    steps: Vec<String>,
}

/// The beginning of a step that concerns the second function.
const OTHER: &str = "other ";

/// The dialects of rows that hold for both.
const DIALECTS: [&str; 2] = ["mainline", "v4"];

impl<R: Listed> Table<R> {
    /// Loads and checks the table `NAME.toml`.
    ///
    /// # Errors
    /// The table does not exist or has a mistake. The error names the mistake and its place.
    pub fn load(name: &str) -> Result<Self> {
        let path = files::folder().join(name).with_extension("toml");
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        Self::parse(name, &text)
    }

    fn parse(name: &str, text: &str) -> Result<Self> {
        let table: Self = toml::from_str(text).with_context(|| name.to_owned())?;
        let mut ids = BTreeSet::new();
        for row in &table.row {
            let id = row.id();
            ensure!(ids.insert(id), "{name}: row {id} is there twice");
            let mut sections = table.section.iter();
            ensure!(
                sections.any(|section| section.holds(id)),
                "{name}: row {id} is in no section"
            );
            row.check(&table)
                .with_context(|| format!("{name}: row {id}"))?;
        }
        Ok(table)
    }

    /// Returns the rows of a section, in the table's order.
    pub fn rows_of<'a>(&'a self, section: &'a Section) -> impl Iterator<Item = &'a R> {
        self.row.iter().filter(|row| section.holds(row.id()))
    }
}

impl Listed for Row {
    fn id(&self) -> &str {
        &self.id
    }

    fn check(&self, table: &Table) -> Result<()> {
        table.check(self)
    }
}

impl Table {
    /// Tests a row in one of its dialects: executes the steps of all its cases with all
    /// combinations of their choices.
    ///
    /// # Errors
    /// A step did not find the expected value. The error names the step.
    pub fn show(&self, row: &Row, dialect: Option<&str>) -> Result<()> {
        for case in row.cases() {
            if case
                .only
                .as_deref()
                .is_some_and(|only| Some(only) != dialect)
            {
                continue;
            }
            let steps = self.steps(&case, dialect)?;
            let controller = steps.iter().any(|(_, step)| step.needs_controller());
            for set in self.combinations(&case, dialect)? {
                for profile in self.profile_of(&case).split_whitespace() {
                    let with = if set.is_empty() { "" } else { " with " };
                    let within = || format!("{}, profile {profile}{with}{}", row.id, set.join(" "));
                    let profiles: Vec<&str> = profile.split('+').collect();
                    let bench = Bench::start(&profiles, &set, controller);
                    let mut bench = bench.with_context(within)?;
                    for (text, step) in &steps {
                        bench
                            .carry_out(step)
                            .with_context(|| format!("step `{text}`"))
                            .with_context(within)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn profile_of<'a>(&'a self, case: &'a Case) -> &'a str {
        if case.profile.is_empty() {
            &self.profile
        } else {
            &case.profile
        }
    }

    /// Returns the overrides of each combination of a case's choices.
    fn combinations(&self, case: &Case, dialect: Option<&str>) -> Result<Vec<Vec<String>>> {
        let mut combinations = vec![case.set.clone()];
        for alternatives in dialect.into_iter().chain(case.with.split_whitespace()) {
            let mut longer = Vec::new();
            for name in alternatives.split('|') {
                let choice = self.choices.get(name);
                let choice = choice.with_context(|| format!("`{name}` is no choice"))?;
                longer.extend(
                    combinations
                        .iter()
                        .map(|set| [choice.as_slice(), set].concat()),
                );
            }
            combinations = longer;
        }
        Ok(combinations)
    }

    /// Returns whether testing a row needs the program lspci.
    ///
    /// # Errors
    /// A step is invalid.
    pub fn needs_lspci(&self, row: &Row) -> Result<bool> {
        for case in row.cases() {
            for dialect in row.dialects() {
                let steps = self.steps(&case, dialect)?;
                if steps.iter().any(|(_, step)| step.needs_lspci()) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn check(&self, row: &Row) -> Result<()> {
        let cases = row.cases();
        ensure!(
            row.case.is_empty()
                || [&row.profile, &row.with].into_iter().all(String::is_empty)
                    && row.set.is_empty(),
            "has cases, so profile, with and set are theirs to say"
        );
        match &row.not_here {
            Some(_) if cases.is_empty() => Ok(()),
            Some(_) => bail!("has steps although it is not shown here"),
            None if cases.is_empty() => bail!("has neither steps nor a reason in `not-here`"),
            None => cases.iter().try_for_each(|case| {
                ensure!(!self.profile_of(case).is_empty(), "a case has no profile");
                for dialect in row.dialects() {
                    self.combinations(case, dialect)?;
                    self.steps(case, dialect)?;
                }
                Ok(())
            }),
        }
    }

    fn steps(&self, case: &Case, dialect: Option<&str>) -> Result<Vec<(String, Step)>> {
        self.words.steps(&case.steps, dialect)
    }
}

/// Words for steps of many rows: each stands for several steps. `X in v4` is the meaning of `X` in that
/// dialect.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
struct Words(BTreeMap<String, Vec<String>>);

impl Words {
    /// Returns the steps of a case with its words resolved. Words do not contain words.
    fn steps(&self, texts: &[String], dialect: Option<&str>) -> Result<Vec<(String, Step)>> {
        let mut steps = Vec::new();
        for text in texts {
            // `other WORD` is the word for the second function.
            let (other, word) = match text.strip_prefix(OTHER) {
                Some(word) => (OTHER, word),
                None => ("", text.as_str()),
            };
            let in_dialect =
                dialect.and_then(|dialect| self.0.get(&format!("{word} in {dialect}")));
            let meant = match in_dialect.or_else(|| self.0.get(word)) {
                Some(meant) => meant.iter().map(|step| format!("{other}{step}")).collect(),
                None => vec![text.clone()],
            };
            for text in meant {
                let step: Step = text.parse().with_context(|| format!("step `{text}`"))?;
                steps.push((text, step));
            }
        }
        ensure!(
            steps.iter().any(|(_, step)| step.expects_something()),
            "its steps expect nothing, so they cannot fail"
        );
        Ok(steps)
    }
}

impl Row {
    /// Returns the dialects in which the row is tested, one test for each. `None` stands for a
    /// table without dialects.
    #[must_use]
    pub fn dialects(&self) -> Vec<Option<&str>> {
        match self.dialect.as_deref() {
            Some("both") => DIALECTS.map(Some).to_vec(),
            dialect => vec![dialect],
        }
    }

    fn cases(&self) -> Vec<Case> {
        let mut cases = self.case.clone();
        if !self.steps.is_empty() {
            cases.push(Case {
                profile: self.profile.clone(),
                with: self.with.clone(),
                set: self.set.clone(),
                only: None,
                steps: self.steps.clone(),
            });
        }
        cases
    }
}

#[cfg(test)]
mod tests;
