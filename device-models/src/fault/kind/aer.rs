//! An error that the function detects and reports (PCIe Base §6.2).

use crate::capability::{Advisory, DetectedError, ErrorKind, LogsHeader};
use crate::fault::consequence::Consequence;
use crate::fault::form::{ANY, Kind, of_function};
use crate::fault::words::{Words, number};

pub(in crate::fault) const KIND: Kind = Kind {
    name: "aer",
    form: "ERROR [advisory] [header DWORD DWORD DWORD [DWORD]] [prefix DWORD [DWORD [DWORD [DWORD]]]]",
    about: "the function detects an error such as completion-timeout or receiver-error. Its registers \
            decide the severity, the log and the message",
    fits: of_function,
    occasions: ANY,
    parse: |words| {
        let name = words.need("the name of an error")?;
        let kind = ErrorKind::of_name(name).ok_or_else(|| {
            let names: Vec<&str> = ErrorKind::all().iter().map(|kind| kind.name).collect();
            format!("'{name}' is no error; choose one of {}", names.join(", "))
        })?;
        let mut text = name.to_owned();
        let advisory = words.take("advisory");
        if advisory {
            if kind.advisory == Advisory::Never {
                return Err(format!("{name} is never advisory; leave the word out"));
            }
            text.push_str(" advisory");
        }
        let header = dwords(words, "header", 3, &mut text)?;
        let prefixes = dwords(words, "prefix", 1, &mut text)?;
        if kind.header == LogsHeader::No && (header.is_some() || prefixes.is_some()) {
            return Err(format!("{name} has no header; leave it out"));
        }
        let error = DetectedError {
            kind,
            advisory,
            header: header.unwrap_or_default(),
            prefixes,
        };
        Ok((Consequence::Detect(error), text))
    },
};

/// Parses a word and the DWORDs after it, at least so many and at most four.
fn dwords(
    words: &mut Words<'_>,
    word: &str,
    least: usize,
    text: &mut String,
) -> Result<Option<[u32; 4]>, String> {
    if !words.take(word) {
        return Ok(None);
    }
    text.push(' ');
    text.push_str(word);
    let mut dwords = [0; 4];
    for (index, dword) in dwords.iter_mut().enumerate() {
        let next = words.take_if(|word| number(word).and_then(|number| u32::try_from(number).ok()));
        match next {
            Some(next) => *dword = next,
            None if index < least => {
                return Err(format!(
                    "{word} is followed by {least} to 4 numbers of 32 bits"
                ));
            }
            None => break,
        }
        text.push_str(&format!(" {:#x}", *dword));
    }
    Ok(Some(dwords))
}
