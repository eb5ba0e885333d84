//! `--set KEY=VALUE`: changes to a profile from outside.
//!
//! A key is a path with dots. In `bar.N` the number is the BAR's index, in `function.N` the function's
//! number. Other arrays count from 0, and the number after the last appends an item. A value is a TOML value, and other text is a
//! string. An empty value removes the key.

use toml::{Table, Value};

/// Sets the value at `path` and creates the tables that lead there. An empty value removes the key.
pub(super) fn apply(root: &mut Value, path: &str, value: &str) -> Result<(), String> {
    let names: Vec<&str> = path.split('.').collect();
    if names.iter().any(|name| name.is_empty()) {
        return Err(format!(
            "{path:?} is not a key; write a path like identity.revision"
        ));
    }
    assign(root, &names, None, value)
}

/// Sets the value at a path below `place`. If `place` is an array whose items have numbers of their
/// own, `identifier` is the key of that number.
fn assign(
    place: &mut Value,
    names: &[&str],
    identifier: Option<&str>,
    value: &str,
) -> Result<(), String> {
    let Some((name, rest)) = names.split_first() else {
        return Ok(());
    };
    let remove = rest.is_empty() && value.is_empty();
    let nothing = || format!("there is no {name} to remove; give a value to set one");
    match place {
        Value::Table(table) if remove => table.remove(*name).map(drop).ok_or_else(nothing),
        Value::Table(table) if rest.is_empty() => {
            table.insert((*name).to_owned(), parse(value));
            Ok(())
        }
        Value::Table(table) => {
            let below_is_item = rest
                .first()
                .is_some_and(|next| next.parse::<usize>().is_ok());
            let child = table.entry(*name).or_insert_with(|| {
                if below_is_item {
                    Value::Array(Vec::new())
                } else {
                    Value::Table(Table::new())
                }
            });
            assign(child, rest, super::identifier(name), value)
        }
        Value::Array(items) => {
            let position = position(items, name, identifier)?;
            if remove {
                if position == items.len() {
                    return Err(nothing());
                }
                items.remove(position);
                return Ok(());
            }
            if position == items.len() {
                items.push(Value::Table(new_item(name, identifier)));
            }
            match items.get_mut(position) {
                Some(item) if rest.is_empty() => {
                    *item = parse(value);
                    Ok(())
                }
                Some(item) => assign(item, rest, None, value),
                None => Err(nothing()),
            }
        }
        _ => Err(format!(
            "there is nothing below the key before {name}; shorten the path"
        )),
    }
}

/// Returns the index of an array's item, or the array's end for the next one.
fn position(items: &[Value], name: &str, identifier: Option<&str>) -> Result<usize, String> {
    let number: usize = name
        .parse()
        .map_err(|_| format!("{name:?} is not a number; the key before it is an array"))?;
    let len = items.len();
    if let Some(key) = identifier {
        let wanted = i64::try_from(number).ok();
        let number_of = |item: &Value| item.get(key).and_then(Value::as_integer);
        let found = items.iter().position(|item| number_of(item) == wanted);
        return Ok(found.unwrap_or(len));
    }
    if number > len {
        return Err(format!("there is no item {number}; the next one is {len}"));
    }
    Ok(number)
}

fn new_item(name: &str, identifier: Option<&str>) -> Table {
    let mut table = Table::new();
    if let Some(key) = identifier {
        table.insert(key.to_owned(), parse(name));
    }
    table
}

fn parse(value: &str) -> Value {
    value
        .parse()
        .unwrap_or_else(|_| Value::String(value.to_owned()))
}
