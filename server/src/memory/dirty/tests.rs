use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// Starts a log of these ranges, of everything if there are none.
fn start(
    log: &mut DirtyLog,
    page_size: u64,
    ranges: &[(u64, u64)],
    limit: usize,
) -> Result<u64, LogError> {
    let ranges = ranges.iter().map(|&(iova, length)| Range { iova, length });
    let mut data = Vec::new();
    Start::encode(page_size, ranges, &mut data);
    log.start_bounded(&Start::parse(&data).unwrap(), limit)
}

fn started(page_size: u64, ranges: &[(u64, u64)]) -> DirtyLog {
    let mut log = DirtyLog::default();
    start(&mut log, page_size, ranges, MAX_CHUNKS).unwrap();
    log
}

/// The numbers of the bits that are set in a report.
fn report(log: &mut DirtyLog, iova: u64, length: u64, page_size: u64) -> Vec<u64> {
    let report = Report {
        range: Range { iova, length },
        page_size,
    };
    let mut bitmap = vec![0; report.bitmap_size() as usize];
    log.report(&report, &mut bitmap).unwrap();
    let words = bitmap.as_chunks::<8>().0.iter();
    let words = words.map(|word| u64::from_ne_bytes(*word)).zip(0..);
    let bits = words.flat_map(|(word, at)| {
        let set = move |bit: &u64| word >> bit & 1 == 1;
        (0..64).filter(set).map(move |bit| at * 64 + bit)
    });
    bits.collect()
}

#[test]
fn a_report_tells_what_was_written_once() {
    for page_size in [4 * KIB, 64 * KIB, 2 * MIB] {
        let mut log = started(page_size, &[]);
        assert!(report(&mut log, 0, 200 * page_size, page_size).is_empty());
        let marked = [0, 7, 8, 15, 16, 23, 63, 64, 127, 128, 199];
        for page in marked {
            log.mark(page * page_size + page, 1);
        }
        let reported = report(&mut log, 0, 200 * page_size, page_size);
        assert_eq!(reported, marked, "{page_size:#x}");
        assert!(report(&mut log, 0, 200 * page_size, page_size).is_empty());
    }
}

#[test]
fn a_write_marks_the_pages_that_it_touches() {
    let mut log = started(4 * KIB, &[]);
    for (address, len, pages) in [
        (0, 0, vec![]),
        (4096, 1, vec![1]),
        (8191, 1, vec![1]),
        (8191, 2, vec![1, 2]),
        (8192, 4096, vec![2]),
        (4095, 4098, vec![0, 1, 2]),
        (62 * 4096, 3 * 4096, vec![62, 63, 64]),
        (4095 * 4096, 2 * 4096, vec![4095, 4096]),
        (4095 * 4096, 5000 * 4096, (4095..9095).collect()),
    ] {
        log.mark(address, len);
        let reported = report(&mut log, 0, 10_000 * 4096, 4096);
        assert_eq!(reported, pages, "{address:#x} + {len:#x}");
    }
}

#[test]
fn a_report_may_have_pages_of_another_size() {
    let page = 64 * KIB;
    for (page_size, bits) in [
        (32 * KIB, (2..4).chain(14..16).chain(126..128).collect()),
        (
            4 * KIB,
            (16..32).chain(112..128).chain(1008..1024).collect(),
        ),
        (64 * KIB, vec![1, 7, 63]),
        (128 * KIB, vec![0, 3, 31]),
        (MIB, vec![0, 3]),
        (1 << 40, vec![0]),
    ] {
        let mut log = started(page, &[]);
        for at in [1, 7, 63] {
            log.mark(at * page, 1);
        }
        assert_eq!(
            report(&mut log, 0, 64 * page, page_size),
            bits,
            "{page_size:#x}"
        );
        assert!(report(&mut log, 0, 64 * page, page).is_empty());
    }
}

#[test]
fn a_page_stays_dirty_until_a_report_has_all_of_it() {
    let mut log = started(2 * MIB, &[]);
    log.mark(2 * MIB, 1);
    assert_eq!(report(&mut log, 3 * MIB, MIB, 4 * KIB).len(), 256);
    assert_eq!(report(&mut log, 0, 3 * MIB, MIB), [2]);
    assert_eq!(report(&mut log, 0, 4 * MIB, 2 * MIB), [1]);
    assert!(report(&mut log, 0, 8 * MIB, 2 * MIB).is_empty());
}

#[test]
fn only_what_is_named_is_logged() {
    let ranges = [(0x8000, 0x2000), (0x2000, 0x1000), (0x9000, 0x2000)];
    let mut log = started(4096, &ranges);
    log.mark(0, 0x10_0000);
    assert_eq!(report(&mut log, 0, 0x10_0000, 4096), [2, 8, 9, 10]);
    log.mark(0x3000, 0x5000);
    log.mark(0xb000, 0x5000);
    assert!(report(&mut log, 0, 0x10_0000, 4096).is_empty());
}

#[test]
fn both_ends_of_the_address_space_are_logged() {
    let top = u64::MAX - 4095;
    let mut log = started(4096, &[]);
    log.mark(u64::MAX, 1);
    log.mark(0, 1);
    assert_eq!(report(&mut log, top - 4096, 8192, 4096), [1]);
    assert!(report(&mut log, top, 4096, 4096).is_empty());
    assert_eq!(report(&mut log, 0, u64::MAX, 1 << 63), [0]);
    let mut log = started(4096, &[(top, 4096)]);
    log.mark(top - 1, 2);
    assert_eq!(report(&mut log, 1, u64::MAX, 1 << 63), [1]);
}

#[test]
fn the_page_size_is_the_next_best() {
    for (asked, chosen) in [
        (1, 4 * KIB),
        (4 * KIB, 4 * KIB),
        (128 * KIB, 128 * KIB),
        (2 * MIB, 2 * MIB),
        (1 << 63, 2 * MIB),
    ] {
        let mut log = DirtyLog::default();
        assert_eq!(start(&mut log, asked, &[], MAX_CHUNKS), Ok(chosen));
        log.mark(chosen, 1);
        for again in [asked, chosen] {
            assert_eq!(start(&mut log, again, &[], MAX_CHUNKS), Ok(chosen));
        }
        assert_eq!(report(&mut log, 0, 4 * chosen, chosen), [1], "{asked:#x}");
    }
}

#[test]
fn one_log_at_a_time() {
    let mut log = DirtyLog::default();
    assert_eq!(log.check_on(), Err(LogError::Off));
    log.mark(0, 1);
    let ranges = [(0x4000, 0x1000), (0x1000, 0x1000)];
    start(&mut log, 4096, &ranges, MAX_CHUNKS).unwrap();
    assert_eq!(log.check_on(), Ok(()));
    let other = Err(LogError::OtherLog { page_size: 4096 });
    for (page_size, ranges) in [
        (2048, &ranges[..]),
        (8192, &ranges),
        (4096, &[]),
        (4096, &[(0x1000, 0x1000)]),
    ] {
        assert_eq!(start(&mut log, page_size, ranges, MAX_CHUNKS), other);
    }
    let swapped = [ranges[1], ranges[0]];
    assert_eq!(start(&mut log, 4096, &swapped, MAX_CHUNKS), Ok(4096));
    log.stop();
    log.stop();
    assert_eq!(log.check_on(), Err(LogError::Off));
    start(&mut log, 8192, &[], MAX_CHUNKS).unwrap();
    assert!(report(&mut log, 0, 1 << 20, 4096).is_empty());
}

#[test]
fn what_cannot_be_logged_is_refused_with_its_errno() {
    let chunk = 4096 * 4096;
    for (ranges, errno) in [
        (&[(4096, 0)][..], Errno::EINVAL),
        (&[(0, 2 * chunk + 1)], Errno::E2BIG),
        (&[(1, 2 * chunk)], Errno::E2BIG),
        (&[(0, 1), (chunk, 1), (5 * chunk, 1)], Errno::E2BIG),
        (&[(0, u64::MAX)], Errno::E2BIG),
    ] {
        let mut log = DirtyLog::default();
        let error = start(&mut log, 4096, ranges, 2).unwrap_err();
        assert_eq!(error.errno(), errno, "{error}");
        assert_eq!(log.check_on(), Err(LogError::Off));
    }
    let mut log = DirtyLog::default();
    start(&mut log, 4096, &[(0, chunk), (7 * chunk, chunk)], 2).unwrap();
    log.mark(0, 8 * chunk as usize);
    assert_eq!(report(&mut log, 0, 8 * chunk, 4096).len(), 8192);
    assert!(report(&mut log, 0, 8 * chunk, 4096).is_empty());
}

#[test]
fn of_a_log_that_is_full_all_pages_are_dirty() {
    let chunk = 4096 * 4096;
    let mut log = DirtyLog::default();
    start(&mut log, 4096, &[], 2).unwrap();
    let held = |log: &DirtyLog| log.0.as_ref().unwrap().pages.held();
    for round in 0..8 {
        log.mark(round * chunk, 1);
        log.mark((round + 1) * chunk, 1);
        assert_eq!(held(&log), 2);
        assert_eq!(report(&mut log, round * chunk, 2 * chunk, 4096), [0, 4096]);
        assert_eq!(held(&log), 0, "what was reported takes no memory");
    }
    for at in 0..3 {
        log.mark(at * chunk, 1);
    }
    assert_eq!(held(&log), 0);
    for _ in 0..2 {
        assert_eq!(report(&mut log, 1 << 40, 65 * 4096, 4096).len(), 65);
        assert_eq!(report(&mut log, 1, 4096, 4096), [0], "no bit outside");
    }
}

#[test]
fn a_report_visits_only_the_chunks_of_its_range() {
    let chunk = 4096 * 4096;
    let mut log = started(4 * KIB, &[]);
    for number in 0..1000 {
        log.mark(number * chunk, 1);
    }
    let visits = |log: &DirtyLog| log.0.as_ref().unwrap().pages.visits();
    for (iova, length, most) in [
        (500 * chunk + 4096, 4096, 3),
        (500 * chunk, 4096, 3),
        (700 * chunk, 2 * chunk, 7),
        (1 << 50, 4096, 1),
    ] {
        let before = visits(&log);
        report(&mut log, iova, length, 4096);
        let visited = visits(&log) - before;
        assert!(visited <= most, "{iova:#x} + {length:#x}: {visited} chunks");
    }
}

#[test]
fn a_run_of_dirty_pages_is_found_a_word_at_a_time() {
    let chunk = 4096 * 4096;
    let mut log = started(4 * KIB, &[]);
    log.mark(0, 4 * chunk as usize);
    let before = log.0.as_ref().unwrap().pages.visits();
    assert_eq!(report(&mut log, 0, 4 * chunk, 4096).len(), 4 * 4096);
    let visited = log.0.as_ref().unwrap().pages.visits() - before;
    assert!(
        visited <= 4 * 64 + 5,
        "{visited} for 64 words in each of 4 chunks"
    );
}

/// An operation on a log. Addresses and lengths are in units of 512 bytes.
#[derive(Clone, Debug)]
enum Step {
    Mark(u64, u64),
    Report(u64, u64, u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let address = prop_oneof![0_u64..0x2_0000, 0x7f00_u64..0x8100];
    let mark = (address.clone(), 0_u64..0x900).prop_map(|(at, len)| Step::Mark(at, len));
    let report = (address, 1_u64..0x2_0000, 9_u32..24)
        .prop_map(|(at, len, shift)| Step::Report(at, len, shift));
    vec(prop_oneof![3 => mark, 1 => report], 1..24)
}

proptest! {
    #[test]
    fn the_log_is_a_set_of_pages(
        page_size in prop_oneof![Just(4 * KIB), Just(64 * KIB), Just(2 * MIB)],
        ranges in vec((0_u64..0x2_0000, 1_u64..0x1_0000), 0..4),
        steps in steps(),
    ) {
        let ranges: Vec<_> = ranges.iter().map(|(at, len)| (at * 512, len * 512)).collect();
        let is_logged = |address: u64| {
            let holds = |&(first, length): &(u64, u64)| (first..first + length).contains(&address);
            ranges.is_empty() || ranges.iter().any(holds)
        };
        let mut log = started(page_size, &ranges);
        let mut naive = BTreeSet::new();
        for step in steps {
            match step {
                Step::Mark(at, len) => {
                    let logged = (at..at + len).map(|unit| unit * 512).filter(|a| is_logged(*a));
                    naive.extend(logged.map(|address| address / page_size));
                    log.mark(at * 512, len as usize * 512);
                }
                Step::Report(at, len, shift) => {
                    let (first, end) = (at * 512, (at + len) * 512);
                    let dirty = |bit: &u64| {
                        let from = first + (bit << shift);
                        let to = (from + (1 << shift)).min(end) - 1;
                        naive.range(from / page_size..=to / page_size).next().is_some()
                    };
                    let expected: Vec<_> =
                        (0..(end - first).div_ceil(1 << shift)).filter(dirty).collect();
                    prop_assert_eq!(report(&mut log, first, end - first, 1 << shift), expected);
                    naive.retain(|page| page * page_size < first || (page + 1) * page_size > end);
                }
            }
        }
    }
}
