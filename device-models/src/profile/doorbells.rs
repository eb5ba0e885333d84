//! `[[doorbell]]`: registers that an eventfd can write.

use super::bars::Bars;
use super::error::Mistake;
use super::tables::DoorbellTable;
use crate::function::Doorbell;

/// Creates the doorbells that the tables describe.
pub(super) fn make(tables: &[DoorbellTable], bars: &Bars) -> Result<Vec<Doorbell>, Mistake> {
    let mut made: Vec<Doorbell> = Vec::with_capacity(tables.len());
    for (position, table) in tables.iter().enumerate() {
        let mistake = |key: &str, message: String| {
            Mistake::new(format!("doorbell.{position}.{key}"), message)
        };
        let &DoorbellTable {
            bar,
            offset,
            size,
            datamatch,
        } = table;
        if !matches!(size, 1 | 2 | 4 | 8) {
            let message = format!("a write cannot have {size} bytes; choose 1, 2, 4 or 8");
            return Err(mistake("size", message));
        }
        let Some(config) = bars.get(bar) else {
            return Err(mistake(
                "bar",
                format!("there is no BAR {bar}; add one, or choose another"),
            ));
        };
        if offset
            .checked_add(size.into())
            .is_none_or(|end| end > config.size)
        {
            let message = format!(
                "{size} bytes at {offset:#x} leave BAR {bar}, which has {:#x}; move the doorbell or enlarge the BAR",
                config.size
            );
            return Err(mistake("offset", message));
        }
        if let Some(value) = datamatch.filter(|value| *value > u64::MAX >> (64 - 8 * size)) {
            let message = format!(
                "{value:#x} has more than {size} bytes; choose a smaller value or a larger size"
            );
            return Err(mistake("datamatch", message));
        }
        let doorbell = Doorbell {
            bar,
            offset,
            size,
            datamatch,
        };
        if let Some(earlier) = made.iter().position(|earlier| earlier.collides(&doorbell)) {
            let message = format!(
                "doorbell.{earlier} stands for the same write; give each a datamatch of its own, or remove one"
            );
            return Err(mistake("offset", message));
        }
        made.push(doorbell);
    }
    Ok(made)
}
