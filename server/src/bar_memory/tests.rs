use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};

use proptest::prelude::*;

use super::contents::PIECE;
use super::*;

const BOTH: [Hidden; 2] = [Hidden::Ones, Hidden::Gone];

fn bar(memory: Mappable, largest: u64) -> MappableBar {
    MappableBar {
        bar: 0,
        memory,
        largest,
    }
}

fn memory(hidden: Hidden, size: u64) -> SharedMemory {
    let mut memory = SharedMemory::new(&bar(Mappable::Whole, size), hidden);
    memory.reset(size);
    memory
}

fn settle(memory: &mut SharedMemory) {
    while !memory.is_settled() {
        memory.advance(&mut { STEP });
    }
}

/// The file that a client gets.
fn share(memory: &mut SharedMemory) -> File {
    let file = File::from(memory.share().unwrap());
    settle(memory);
    file
}

fn show(memory: &mut SharedMemory, visible: bool) {
    memory.set_visible(visible);
    settle(memory);
}

fn byte(memory: &SharedMemory, offset: u64) -> u8 {
    let mut data = [0xee];
    memory.read(offset, &mut data);
    data[0]
}

/// A byte of the file, as a mapping has it; nothing where a mapping would raise SIGBUS.
fn mapped(file: &File, offset: u64) -> Option<u8> {
    let mut data = [0xee];
    let read = file.read_at(&mut data, offset).unwrap();
    (read == 1).then_some(data[0])
}

/// Bytes of memory that the file takes.
fn taken(file: &File) -> u64 {
    file.metadata().unwrap().blocks() * 512
}

/// The least of steps that bring it where it should be, with a budget of one piece for each.
fn steps(memory: &mut SharedMemory) -> u64 {
    let mut steps = 0;
    while !memory.is_settled() {
        memory.advance(&mut { PIECE });
        steps += 1;
    }
    steps
}

#[test]
fn hidden_memory_reads_ones_or_is_gone() {
    for (hidden, there) in [(Hidden::Ones, Some(0xff)), (Hidden::Gone, None)] {
        let mut memory = memory(hidden, 0x5_0000);
        memory.write(0x4_ffff, &[7]);
        let file = share(&mut memory);
        for offset in [0, 0x2_0000, 0x4_ffff] {
            assert_eq!(mapped(&file, offset), there, "{hidden:?} {offset:#x}");
        }
        show(&mut memory, true);
        assert_eq!(mapped(&file, 0), Some(0));
        assert_eq!(mapped(&file, 0x4_ffff), Some(7));
        assert_eq!(mapped(&file, 0x5_0000), None, "nothing beyond the end");
        show(&mut memory, false);
        for offset in [0, 0x2_0000, 0x4_ffff] {
            assert_eq!(mapped(&file, offset), there, "{hidden:?} {offset:#x}");
        }
        assert_eq!(byte(&memory, 0x4_ffff), 7);
    }
}

#[test]
fn stores_to_hidden_memory_are_lost() {
    let mut memory = memory(Hidden::Ones, 0x4_0000);
    memory.write(0x10, &[1]);
    let file = share(&mut memory);
    for offset in [0x10, 0x2_0010] {
        file.write_all_at(&[9], offset).unwrap();
    }
    assert_eq!([byte(&memory, 0x10), byte(&memory, 0x2_0010)], [1, 0]);
    show(&mut memory, true);
    assert_eq!(
        [mapped(&file, 0x10), mapped(&file, 0x2_0010)],
        [Some(1), Some(0)]
    );
}

#[test]
fn contents_outlast_being_hidden_and_are_the_same_from_both_sides() {
    for hidden in BOTH {
        let mut memory = memory(hidden, 0x4_0000);
        memory.write(0x1_fffe, &[1, 2, 3]);
        show(&mut memory, true);
        let file = share(&mut memory);
        let mut data = [0; 3];
        file.read_exact_at(&mut data, 0x1_fffe).unwrap();
        assert_eq!(data, [1, 2, 3], "across two pieces");
        file.write_all_at(&[9], 0x10).unwrap();
        show(&mut memory, false);
        assert_eq!(byte(&memory, 0x10), 9);
        memory.write(0x11, &[8]);
        show(&mut memory, true);
        assert_eq!(
            [mapped(&file, 0x10), mapped(&file, 0x11)],
            [Some(9), Some(8)]
        );
    }
}

#[test]
fn a_reset_leaves_nothing_behind() {
    for hidden in BOTH {
        for visible in [false, true] {
            let largest = bar(Mappable::Whole, 0x10_0000);
            let mut memory = SharedMemory::new(&largest, hidden);
            memory.reset(0x4_0000);
            memory.set_visible(visible);
            let file = share(&mut memory);
            memory.write(0x3_0000, &[1]);
            memory.reset(0x8_0000);
            assert_eq!(byte(&memory, 0x3_0000), 0, "at once");
            settle(&mut memory);
            show(&mut memory, true);
            memory.write(0x7_ffff, &[2]);
            assert_eq!(mapped(&file, 0x3_0000), Some(0), "{hidden:?}");
            assert_eq!(
                mapped(&file, 0x7_ffff),
                Some(2),
                "{hidden:?}: at its new size"
            );
            memory.reset(0x4_0000);
            memory.reset(0x8_0000);
            settle(&mut memory);
            assert_eq!(mapped(&file, 0x7_ffff), Some(0), "{hidden:?}");
        }
    }
}

#[test]
fn only_areas_are_in_the_file_and_all_else_is_read_and_written_like_them() {
    let areas = [(0x1000, 0x1000), (0x3000, 0x2000)];
    let areas = areas.map(|(offset, size)| Area { offset, size });
    for hidden in BOTH {
        let bar = bar(Mappable::Areas(areas.to_vec()), 0x8000);
        let mut memory = SharedMemory::new(&bar, hidden);
        memory.reset(0x8000);
        assert!(memory.is_blank());
        show(&mut memory, true);
        let file = share(&mut memory);
        assert_eq!(file.metadata().unwrap().len(), 0x5000, "to the last area");
        assert!(memory.is_blank());
        let all: Vec<u8> = (0..0x8000_u32).map(|at| (at % 251) as u8 + 1).collect();
        memory.write(0, &all);
        for visible in [true, false, true] {
            show(&mut memory, visible);
            let mut data = vec![0; 0x8000];
            memory.read(0, &mut data);
            assert_eq!(data, all, "visible: {visible}");
        }
        let mut data = vec![0; 0x5000];
        file.read_exact_at(&mut data, 0).unwrap();
        for (at, byte) in data.iter().enumerate() {
            let in_area = areas.iter().any(|area| area.contains(at as u64));
            assert_eq!(*byte, if in_area { all[at] } else { 0 }, "{at:#x}");
        }
        assert!(!memory.is_blank());
        memory.reset(0x8000);
        assert!(memory.is_blank());
    }
}

#[test]
fn areas_far_apart_take_no_memory_between_them() {
    let areas = [0, 0x3f00_0000].map(|offset| Area {
        offset,
        size: 0x1000,
    });
    let bar = bar(Mappable::Areas(areas.to_vec()), 0x4000_0000);
    let mut memory = SharedMemory::new(&bar, Hidden::Ones);
    memory.reset(0x4000_0000);
    let file = share(&mut memory);
    for Area { offset, .. } in areas {
        assert_eq!(mapped(&file, offset), Some(0xff));
    }
    assert!(taken(&file) <= 2 * PIECE, "{:#x}", taken(&file));
}

#[test]
fn bytes_that_nobody_stored_are_skipped() {
    for hidden in BOTH {
        let mut memory = memory(hidden, 0x1000_0000);
        show(&mut memory, true);
        let file = share(&mut memory);
        file.write_all_at(&[1], 0x800_0123).unwrap();
        let visible = (memory.contents.next_filled(0x10), memory.contents.held());
        assert_eq!(visible, (Some(0x800_0000), 4096), "{hidden:?}");
        assert_eq!(memory.contents.next_filled(0x800_1000), None, "{hidden:?}");
        show(&mut memory, false);
        let kept = (memory.contents.next_filled(0x10), memory.contents.held());
        assert_eq!(kept, (Some(0x800_0000), PIECE), "{hidden:?}");
    }
}

#[test]
fn memory_that_nobody_maps_comes_and_goes_without_a_step() {
    for hidden in BOTH {
        let mut memory = memory(hidden, 0x1000_0000);
        memory.write(0xfff_ffff, &[1]);
        for visible in [true, false, true] {
            memory.set_visible(visible);
            assert!(memory.is_settled());
        }
    }
}

#[test]
fn a_step_moves_no_more_than_its_budget_and_a_piece() {
    for hidden in BOTH {
        let size = 32 * PIECE;
        let mut memory = memory(hidden, size);
        show(&mut memory, true);
        let file = share(&mut memory);
        let all = vec![5; size as usize];
        file.write_all_at(&all, 0).unwrap();
        for visible in [false, true, false] {
            memory.set_visible(visible);
            assert!(steps(&mut memory) >= size / PIECE, "{hidden:?} {visible}");
        }
        memory.reset(size);
        assert!(
            steps(&mut memory) >= size / PIECE,
            "{hidden:?}: freeing takes time, too"
        );
    }
}

#[test]
fn however_often_the_wish_changes_only_the_last_is_worked_on() {
    for hidden in BOTH {
        let size = 32 * PIECE;
        let mut memory = memory(hidden, size);
        show(&mut memory, true);
        let file = share(&mut memory);
        file.write_all_at(&vec![5; size as usize], 0).unwrap();
        for _ in 0..400 {
            memory.set_visible(false);
            memory.set_visible(true);
        }
        assert!(steps(&mut memory) <= 1, "{hidden:?}");
    }
}

#[test]
fn a_wish_that_changes_half_way_is_turned_round() {
    for hidden in BOTH {
        let size = 32 * PIECE;
        let mut memory = memory(hidden, size);
        show(&mut memory, true);
        let file = share(&mut memory);
        let all: Vec<u8> = (0..size).map(|at| (at / PIECE) as u8 + 1).collect();
        file.write_all_at(&all, 0).unwrap();
        memory.set_visible(false);
        memory.advance(&mut { size });
        assert!(!memory.is_settled());
        show(&mut memory, true);
        let mut data = vec![0; size as usize];
        file.read_exact_at(&mut data, 0).unwrap();
        assert_eq!(data, all, "{hidden:?}");
    }
}

#[test]
fn who_had_it_before_neither_sees_nor_changes_what_comes_after() {
    for hidden in BOTH {
        for visible in [false, true] {
            let mut memory = memory(hidden, 4 * PIECE);
            show(&mut memory, true);
            let before = share(&mut memory);
            before.write_all_at(&[5], 0).unwrap();
            before.write_all_at(&[6], 3 * PIECE).unwrap();
            show(&mut memory, visible);
            memory.unshare();
            memory.write(1, &[7]);
            memory.write(3 * PIECE + 1, &[8]);
            assert_ne!(mapped(&before, 1), Some(7), "not even at once");
            settle(&mut memory);
            assert_eq!(taken(&before), 0, "nothing of it is left");
            show(&mut memory, true);
            let after = share(&mut memory);
            let there = [0, 1, 3 * PIECE, 3 * PIECE + 1].map(|at| mapped(&after, at));
            assert_eq!(there, [5, 7, 6, 8].map(Some), "{hidden:?}");
            before.set_len(4 * PIECE).ok();
            before.write_all_at(&[9; 4], 0).unwrap();
            assert_eq!([byte(&memory, 0), byte(&memory, 1)], [5, 7], "{hidden:?}");
            memory.write(2, &[4]);
            assert_eq!(mapped(&before, 2), Some(9), "{hidden:?}");
        }
    }
}

#[test]
fn a_file_is_shared_only_once_its_former_clients_are_parted_from_it() {
    for hidden in BOTH {
        let mut memory = memory(hidden, 4 * PIECE);
        show(&mut memory, true);
        let before = share(&mut memory);
        before.write_all_at(&[5], 3 * PIECE).unwrap();
        memory.unshare();
        let after = File::from(memory.share().unwrap());
        settle(&mut memory);
        assert_eq!(mapped(&after, 3 * PIECE), Some(5), "{hidden:?}");
        memory.write(0, &[1]);
        assert_ne!(mapped(&before, 0), Some(1), "{hidden:?}");
    }
}

#[test]
fn a_client_cannot_change_the_size_of_what_is_never_cut() {
    let mut memory = memory(Hidden::Ones, 0x1000);
    let file = share(&mut memory);
    assert!(file.set_len(0).is_err());
    assert!(file.set_len(0x2000).is_err());
    assert!(file.write_all_at(&[1], 0x1000).is_err());
}

#[test]
fn data_that_a_client_puts_beyond_the_end_goes_when_the_memory_is_hidden() {
    let mut memory = memory(Hidden::Gone, 0x1000);
    show(&mut memory, true);
    let file = share(&mut memory);
    let far = 1 << 40;
    file.write_all_at(&[1; 0x1000], far).unwrap();
    show(&mut memory, false);
    assert_eq!((taken(&file), file.metadata().unwrap().len()), (0, 0));
    file.write_all_at(&[1; 0x1000], 0).unwrap();
    file.write_all_at(&[1; 0x1000], far).unwrap();
    show(&mut memory, true);
    assert_eq!((taken(&file), file.metadata().unwrap().len()), (0, 0x1000));
    assert_eq!(byte(&memory, 0), 0);
}

#[test]
fn a_file_takes_no_more_than_its_bar_and_what_is_kept_no_more_than_that_again() {
    let size = 16 * PIECE;
    let mut memory = memory(Hidden::Ones, size);
    let file = share(&mut memory);
    assert_eq!(taken(&file), size, "ones");
    show(&mut memory, true);
    assert_eq!(taken(&file), 0, "nothing was stored");
    file.write_all_at(&vec![5; size as usize], 0).unwrap();
    show(&mut memory, false);
    assert_eq!((taken(&file), memory.contents.kept()), (size, size));
    show(&mut memory, true);
    assert_eq!((taken(&file), memory.contents.kept()), (size, 0));
}

#[derive(Clone, Debug)]
enum Act {
    Show(bool),
    Write(u64, usize, u8),
    Map(u64, u8),
    Reset(u64),
    Advance(u64),
    Settle,
    Share,
    Unshare,
}

/// The largest size; smaller ones end inside and at the end of pieces.
const LARGEST: u64 = 5 * PIECE;
const SIZES: [u64; 3] = [PIECE, 2 * PIECE + 0x1000, LARGEST];

fn act() -> impl Strategy<Value = Act> {
    let offset = || 0..LARGEST;
    prop_oneof![
        4 => any::<bool>().prop_map(Act::Show),
        4 => (offset(), 1..0x3_0000_usize, 1..=255_u8).prop_map(|(at, len, byte)| Act::Write(at, len, byte)),
        4 => (offset(), 1..=255_u8).prop_map(|(at, byte)| Act::Map(at, byte)),
        1 => (0..SIZES.len()).prop_map(|size| Act::Reset(SIZES[size])),
        8 => (0..4 * PIECE).prop_map(Act::Advance),
        2 => Just(Act::Settle),
        2 => Just(Act::Share),
        1 => Just(Act::Unshare),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Messages always see and change the same bytes as a plain vector would, however far the work
    /// has come, and a mapping sees them whenever it is done.
    #[test]
    fn messages_find_what_a_plain_memory_would_have(
        gone in any::<bool>(),
        acts in prop::collection::vec(act(), 1..60),
    ) {
        let hidden = if gone { Hidden::Gone } else { Hidden::Ones };
        let mut memory = SharedMemory::new(&bar(Mappable::Whole, LARGEST), hidden);
        memory.reset(LARGEST);
        let mut model = vec![0; LARGEST as usize];
        let (mut visible, mut file) = (false, None);
        for act in acts {
            match act {
                Act::Show(wish) => {
                    memory.set_visible(wish);
                    visible = wish;
                }
                Act::Write(offset, len, byte) => {
                    let data = vec![byte; len];
                    memory.write(offset, &data);
                    let start = model.len().min(offset as usize);
                    let end = model.len().min(start + len);
                    model[start..end].fill(byte);
                }
                Act::Map(offset, byte) => {
                    // Only what is there for certain: the rest is a race.
                    if let Some(file) = &file
                        && memory.is_settled()
                        && visible
                        && offset < model.len() as u64
                    {
                        File::write_all_at(file, &[byte], offset).unwrap();
                        model[offset as usize] = byte;
                    }
                }
                Act::Reset(size) => {
                    memory.reset(size);
                    model = vec![0; size as usize];
                }
                Act::Advance(mut budget) => memory.advance(&mut budget),
                Act::Settle => settle(&mut memory),
                Act::Share => file = Some(File::from(memory.share().unwrap())),
                Act::Unshare => {
                    memory.unshare();
                    file = None;
                }
            }
            let mut data = vec![0xee; model.len()];
            memory.read(0, &mut data);
            prop_assert!(data == model, "by message");
            if let Some(file) = file.as_ref().filter(|_| memory.is_settled()) {
                let mut there = vec![0xee; model.len()];
                let read = file.read_at(&mut there, 0).unwrap();
                match (visible, hidden) {
                    (true, _) => prop_assert!(there == model, "mapped"),
                    (false, Hidden::Ones) => prop_assert!(there.iter().all(|byte| *byte == 0xff)),
                    (false, Hidden::Gone) => prop_assert_eq!(read, 0),
                }
            }
        }
    }
}
