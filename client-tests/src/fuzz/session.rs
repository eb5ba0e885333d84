//! Whole sessions: two clients and the control socket send to a server of this process.
//!
//! Each session is played twice, with as much as possible in one send, and in pieces. Descriptors
//! keep their place in the stream, since the bytes that they are sent with determine the message
//! that they belong to. Bytes that are sent with descriptors are cut only if they are exactly one
//! message. For others, the server can only guess the message from the bytes that it has.

mod owed;
mod play;
mod script;

use std::iter;

use super::input::{Input, is_thorough};
use super::subject::{Subject, differ};
use play::{Play, Seen};
use script::Script;

/// Plays the session that the input describes.
///
/// # Panics
/// A rule is broken.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let number = Subject::number(&mut input);
    let sizes: Vec<usize> = input
        .bytes(4)
        .iter()
        .map(|size| 1 + usize::from(*size))
        .collect();
    let answers = input.u8();
    let script = Subject::numbered(number, |subject| Script::read(&subject.profile, &mut input));

    let thorough = is_thorough(data);
    let whole = Play::new(number, answers, thorough).run(&script, None);
    let sizes = sizes.into_iter().chain(iter::once(7));
    let pieces = Play::new(number, answers, thorough).run(&script, Some(sizes.collect()));
    // A transfer goes on beside the requests, so what they find depends on when they come.
    if !whole.transfers && !pieces.transfers {
        assert_same(&whole, &pieces);
    }
}

fn assert_same(whole: &Seen, pieces: &Seen) {
    assert_eq!(whole.conversations, pieces.conversations, "replies differ");
    assert_eq!(whole.lines, pieces.lines, "control replies differ");
    assert_eq!(
        whole.signals, pieces.signals,
        "eventfds were signalled differently"
    );
    assert_eq!(whole.device, pieces.device, "the devices differ");
    let device = whole.saved.iter().zip(&pieces.saved);
    let device: Option<String> = device.filter_map(|(a, b)| differ("", a, b)).next();
    assert_eq!(device, None, "the devices differ");
}
