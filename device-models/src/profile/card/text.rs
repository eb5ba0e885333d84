//! Reading a card's file.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use toml::{Table, Value};

use super::{Card, FunctionNumber, Origin, Profile, ProfileError};
use crate::fault::Fault;
use crate::host::{DeviceLink, PortOptions, SetOptions, SlotPower};
use crate::profile::document::Document;
use crate::profile::error::Mistake;
use crate::profile::source::{CardPlace, fault_error};
use crate::profile::{BAR, FUNCTION, faults, overrides};

/// Overrides: keys and values.
type Set = [(String, String)];

/// Returns the text of a profile by its name.
type Bases<'a> = &'a dyn Fn(&str) -> Result<String, String>;

/// Keys of a function's table that are not keys of a profile.
const NUMBER: &str = "number";
const PROFILE: &str = "profile";
const REMOVE: &str = "remove";
const COUNT: &str = "count";
/// The table that a card has once for all functions.
const SLOT: &str = "slot";

/// The place of device links.
const LINK: &str = "slot.link";

/// A card as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct CardTables {
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    slot: SlotTable,
    function: Vec<Table>,
}

/// `[slot]`: the things that functions share.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct SlotTable {
    aux_power: bool,
    /// Device links of the host.
    link: Vec<DeviceLink>,
    /// The supply of the slot, as in [`SlotPower`](crate::host::SlotPower).
    resume_dependents: bool,
    port: PortOptions,
    fault: Vec<Fault>,
}

impl Default for SlotTable {
    fn default() -> Self {
        Self {
            aux_power: true,
            link: Vec::new(),
            resume_dependents: false,
            port: PortOptions::default(),
            fault: Vec::new(),
        }
    }
}

/// Returns whether a text has functions.
pub(super) fn is_card(text: &str) -> bool {
    let table = toml::de::DeTable::parse(text);
    table.is_ok_and(|table| table.get_ref().contains_key(FUNCTION))
}

/// Reads a card, alone and then with overrides.
pub(super) fn parse(
    origin: &str,
    text: &str,
    set: &Set,
    bases: Bases<'_>,
) -> Result<Card, ProfileError> {
    let card = Reader::new(origin, text, &[])?.read(&[], bases)?;
    if set.is_empty() {
        return Ok(card);
    }
    let (of_functions, of_card): (Vec<_>, Vec<_>) = set
        .iter()
        .cloned()
        .partition(|(key, _)| of_function(key).is_some());
    if of_card.is_empty() {
        return Reader::new(origin, text, &[])?.read(&of_functions, bases);
    }
    let numbered = numbered(text).unwrap_or_else(|| text.to_owned());
    let changed = crate::profile::source::overridden(&Origin::file(origin), &numbered, &of_card)?;
    Reader::new(origin, &changed, &of_card)?.read(&of_functions, bases)
}

/// Returns the number and the function's own key if an override changes a function's profile.
fn of_function(key: &str) -> Option<(FunctionNumber, &str)> {
    let rest = key.strip_prefix(FUNCTION)?.strip_prefix('.')?;
    let (number, key) = rest.split_once('.')?;
    let number = number.parse::<u8>().ok()?;
    let own = key.split('.').next()?;
    let number = FunctionNumber::try_from(number).ok()?;
    (![NUMBER, PROFILE, REMOVE, COUNT].contains(&own)).then_some((number, key))
}

/// Returns the text with the number of every function, so that overrides find it.
fn numbered(text: &str) -> Option<String> {
    let mut root: Table = toml::from_str(text).ok()?;
    let functions = root.get_mut(FUNCTION)?.as_array_mut()?;
    for (position, function) in (0_i64..).zip(functions) {
        let table = function.as_table_mut()?;
        table.entry(NUMBER).or_insert(Value::Integer(position));
    }
    toml::to_string(&root).ok()
}

/// A card's text.
struct Reader {
    origin: Origin,
    document: Arc<Document>,
    /// The overrides that are in the text already.
    set: Vec<(String, String)>,
}

impl Reader {
    fn new(origin: &str, text: &str, set: &Set) -> Result<Self, ProfileError> {
        let origin = Origin::file(origin);
        let document = Document::parse(text).map_err(|fault| fault_error(&origin, set, fault))?;
        Ok(Self {
            origin,
            document: Arc::new(document),
            set: set.to_vec(),
        })
    }

    fn error(&self, mistake: Mistake) -> ProfileError {
        fault_error(&self.origin, &self.set, self.document.locate(mistake))
    }

    /// Reads the functions, and changes them by their own overrides.
    fn read(&self, set: &Set, bases: Bases<'_>) -> Result<Card, ProfileError> {
        let tables = self.document.deserialize();
        let tables: CardTables =
            tables.map_err(|fault| fault_error(&self.origin, &self.set, fault))?;
        let mut functions = BTreeMap::new();
        for (position, table) in tables.function.into_iter().enumerate() {
            let at = format!("{FUNCTION}.{position}");
            let written = self.written(&at, position, table)?;
            for number in self.numbers(&at, &written)? {
                if functions.contains_key(&number) {
                    let message =
                        format!("there is a function {number} already; choose another number");
                    return Err(self.error(Mistake::new(format!("{at}.{NUMBER}"), message)));
                }
                let one = Written {
                    number,
                    ..written.clone()
                };
                functions.insert(number, self.function(&at, one, set, bases)?);
            }
        }
        let first = functions.remove(&FunctionNumber::ZERO).ok_or_else(|| {
            let message = "there is no function 0, which every slot has; add one";
            self.error(Mistake::new(FUNCTION, message))
        })?;
        let unknown = set.iter().find_map(|(key, _)| {
            let (number, _) = of_function(key)?;
            let known = number == FunctionNumber::ZERO || functions.contains_key(&number);
            (!known).then_some((key, number))
        });
        if let Some((key, number)) = unknown {
            return Err(ProfileError {
                origin: format!("{} with --set {key}", self.origin.file),
                line: None,
                key: key.clone(),
                message: format!(
                    "there is no function {number}; set function.{number}.profile first"
                ),
            });
        }
        let SlotTable {
            aux_power,
            link,
            resume_dependents,
            port,
            fault,
        } = tables.slot;
        faults::check_slot(&fault).map_err(|mistake| self.error(mistake))?;
        let options = SetOptions {
            links: link,
            power: SlotPower {
                resume_dependents,
                port,
            },
        };
        let card = Card::new(
            &tables.name,
            &tables.description,
            aux_power,
            first,
            functions,
        )?;
        card.with_faults(fault)
            .with_options(options)
            .map_err(|error| self.error(Mistake::new(LINK, error.to_string())))
    }

    /// Returns the numbers of the functions that a table describes: one, or as many as its count.
    fn numbers(&self, at: &str, written: &Written) -> Result<Vec<FunctionNumber>, ProfileError> {
        let first = u8::from(written.number);
        let numbers = (first..).take(usize::from(written.count));
        let numbers = numbers.map(|number| FunctionNumber::try_from(number).ok());
        numbers.collect::<Option<_>>().ok_or_else(|| {
            let message = format!(
                "{} functions from number {first} on exceed 7; choose fewer",
                written.count
            );
            self.error(Mistake::new(format!("{at}.{COUNT}"), message))
        })
    }

    /// Separates the keys of the card from those of the profile.
    fn written(
        &self,
        at: &str,
        position: usize,
        mut changes: Table,
    ) -> Result<Written, ProfileError> {
        let wrong =
            |key: &str, message: String| self.error(Mistake::new(format!("{at}.{key}"), message));
        let number = match changes.remove(NUMBER) {
            None => u8::try_from(position).ok(),
            Some(value) => value
                .as_integer()
                .and_then(|number| u8::try_from(number).ok()),
        };
        let number = number.and_then(|number| FunctionNumber::try_from(number).ok());
        let number = number.ok_or_else(|| {
            wrong(
                NUMBER,
                "this is no function number; choose 0 to 7".to_owned(),
            )
        })?;
        let base = match changes.remove(PROFILE) {
            None => None,
            Some(Value::String(name)) => Some(name),
            Some(other) => {
                let message = format!("{other} is no name; write the name or file of a profile");
                return Err(wrong(PROFILE, message));
            }
        };
        let remove = match changes.remove(REMOVE) {
            None => Vec::new(),
            Some(value) => value.try_into().map_err(|_| {
                let message = "write a list of keys, such as [\"capabilities.msi\", \"bar.1\"]";
                wrong(REMOVE, message.to_owned())
            })?,
        };
        let count = match changes.remove(COUNT) {
            None => Some(1),
            Some(value) => value
                .as_integer()
                .and_then(|count| u8::try_from(count).ok())
                .filter(|count| (1..=7).contains(count)),
        };
        let count = count.ok_or_else(|| {
            wrong(
                COUNT,
                "this is no number of functions; choose 1 to 7".to_owned(),
            )
        })?;
        if base.is_none() && !remove.is_empty() {
            let message = "there is no profile whose keys it could remove; leave it out";
            return Err(wrong(REMOVE, message.to_owned()));
        }
        if changes.contains_key(SLOT) {
            let message = "the card's own [slot] decides this for all functions; leave it out";
            return Err(wrong(SLOT, message.to_owned()));
        }
        for (table, key, instead) in [
            ("platform", "aux-power", "slot.aux-power"),
            ("identity", "multi-function", "the number of functions"),
        ] {
            let given = changes.get(table).and_then(|table| table.get(key));
            if given.is_some() {
                let message = format!("{instead} decides this for all functions; leave it out");
                return Err(wrong(&format!("{table}.{key}"), message));
            }
        }
        Ok(Written {
            number,
            count,
            base,
            remove,
            changes,
        })
    }

    fn function(
        &self,
        at: &str,
        written: Written,
        set: &Set,
        bases: Bases<'_>,
    ) -> Result<Profile, ProfileError> {
        let Written {
            number,
            count: _,
            base,
            remove,
            changes,
        } = written;
        let wrong =
            |key: &str, message: String| self.error(Mistake::new(format!("{at}.{key}"), message));
        let mut root = match &base {
            None => Value::Table(Table::new()),
            Some(name) => {
                let text = bases(name).map_err(|message| wrong(PROFILE, message))?;
                if is_card(&text) {
                    let message = format!("{name} is a card; name the profile of one function");
                    return Err(wrong(PROFILE, message));
                }
                Profile::parse(name, &text, &[])?;
                // It was just read.
                toml::from_str(&text).map_err(|error| wrong(PROFILE, error.to_string()))?
            }
        };
        for (position, key) in remove.iter().enumerate() {
            overrides::apply(&mut root, key, "")
                .map_err(|message| wrong(&format!("{REMOVE}.{position}"), message))?;
        }
        merge(&mut root, changes);
        let text = toml::to_string(&root).map_err(|error| wrong("", error.to_string()))?;
        let origin = Origin {
            file: self.origin.file.clone(),
            place: Some(CardPlace {
                card: Arc::clone(&self.document),
                number,
                base,
            }),
        };
        let own = set.iter().filter_map(|(key, value)| {
            let (of, key) = of_function(key)?;
            (of == number).then(|| (key.to_owned(), value.clone()))
        });
        let own: Vec<_> = own.collect();
        Profile::parse_at(&origin, &text, &own)
    }
}

/// The table of a function, or of several that are alike.
#[derive(Clone)]
struct Written {
    /// Number of the first.
    number: FunctionNumber,
    count: u8,
    base: Option<String>,
    remove: Vec<String>,
    changes: Table,
}

/// Changes keys of a profile: tables key by key, BARs one by one, everything else as a whole.
fn merge(base: &mut Value, changes: Table) {
    let Value::Table(base) = base else { return };
    for (key, change) in changes {
        match (base.get_mut(&key), change) {
            (Some(kept @ Value::Table(_)), Value::Table(change)) => merge(kept, change),
            (Some(Value::Array(kept)), Value::Array(changed)) if key == BAR => {
                changed.into_iter().for_each(|bar| merge_bar(kept, bar));
            }
            (_, change) => {
                base.insert(key, change);
            }
        }
    }
}

fn merge_bar(bars: &mut Vec<Value>, change: Value) {
    let same = |bar: &&mut Value| bar.get("index") == change.get("index");
    match (bars.iter_mut().find(same), change) {
        (Some(bar), Value::Table(change)) => merge(bar, change),
        (_, change) => bars.push(change),
    }
}
