use proptest::prelude::*;

use super::*;

#[test]
fn lanes_cover_what_an_access_touches() {
    for (first, len, mask) in [
        (0, 4, 0xffff_ffff),
        (0, 1, 0x0000_00ff),
        (1, 2, 0x00ff_ff00),
        (3, 1, 0xff00_0000),
        (3, 4, 0xff00_0000),
        (4, 1, 0),
        (0, 0, 0),
    ] {
        assert_eq!(Lanes::new(first, len).mask(), mask, "{first}+{len}");
    }
}

#[test]
fn registers_of_one_byte_are_reached_one_by_one() {
    let mut read = Vec::new();
    let dword = Lanes::new(1, 2).gather(|byte| {
        read.push(byte);
        0xa0 + byte as u8
    });
    assert_eq!((dword, read), (0x00a2_a100, vec![1, 2]));
    let written: Vec<_> = DwordWrite::new(0x4433_2211, Lanes::new(2, 2))
        .bytes()
        .collect();
    assert_eq!(written, [(2, 0x33), (3, 0x44)]);
}

#[test]
fn lanes_reach_registers_of_their_own_dword() {
    let lanes = Lanes::new(1, 2);
    let reached: Vec<_> = (0..12).filter(|at| lanes.reach(4, *at)).collect();
    assert_eq!(reached, [5, 6]);
}

#[test]
fn an_unaligned_access_is_cut_at_dword_boundaries() {
    let pieces: Vec<_> = split(0x46, 7)
        .map(|piece| (piece.offset, piece.first, piece.len, piece.at))
        .collect();
    assert_eq!(pieces, [(0x44, 2, 2, 0), (0x48, 0, 4, 2), (0x4c, 0, 1, 6)]);
}

#[test]
fn a_byte_write_does_not_clear_its_neighbours_status() {
    let mut dword = Dword::new().with(2, Register::new(0_u16).rw1c(0xf900));
    dword.set(2, 0xa000_u16);
    dword.write(DwordWrite::new(0x2000_0000, Lanes::new(2, 1)));
    assert_eq!(dword.get::<u16>(2), 0xa000);
    dword.write(DwordWrite::new(0x2000_0000, Lanes::new(3, 1)));
    assert_eq!(dword.get::<u16>(2), 0x8000);
}

fn any_dword() -> impl Strategy<Value = Dword> {
    (any::<[u32; 5]>(), any::<u32>()).prop_map(|([reset, rw, rw1c, sticky, aux], value)| {
        let mut dword = Dword::new().with(
            0,
            Register::new(reset)
                .rw(rw & !rw1c)
                .rw1c(rw1c)
                .sticky(sticky)
                .aux_backed(aux & sticky),
        );
        dword.set(0, value);
        dword
    })
}

fn any_lanes() -> impl Strategy<Value = Lanes> {
    (0_usize..4, 1_usize..5).prop_map(|(first, len)| Lanes::new(first, len))
}

proptest! {
    #[test]
    fn a_write_obeys_its_masks(dword in any_dword(), value: u32, lanes in any_lanes()) {
        let mut written = dword.clone();
        let write = DwordWrite::new(value, lanes);
        let result = written.write(write);
        let rw = dword.rw() & lanes.mask();
        let expected = ((dword.value() & !rw) | (value & rw)) & !(write.value() & dword.rw1c());
        prop_assert_eq!(result, Written { before: dword.value(), after: expected });
        prop_assert_eq!(written.value() & !dword.rw() & !dword.rw1c(), dword.value() & !dword.rw() & !dword.rw1c());
        prop_assert_eq!(written.value() & dword.rw1c() & !dword.value() & !dword.rw(), 0, "RW1C never sets");
    }

    #[test]
    fn a_write_equals_its_single_bytes(dword in any_dword(), value: u32, lanes in any_lanes()) {
        let mut whole = dword.clone();
        whole.write(DwordWrite::new(value, lanes));
        let mut bytes = dword;
        for byte in (0..4).filter(|byte| lanes.covers(*byte)) {
            bytes.write(DwordWrite::new(value, Lanes::new(byte, 1)));
        }
        prop_assert_eq!(whole, bytes);
    }

    #[test]
    fn a_reset_is_idempotent_and_deeper_ones_keep_less(dword in any_dword()) {
        for kind in ResetKind::ALL {
            let mut once = dword.clone();
            once.reset(kind);
            let mut twice = once.clone();
            twice.reset(kind);
            prop_assert_eq!(&once, &twice);
        }
        for pair in ResetKind::ALL.windows(2) {
            prop_assert_eq!(dword.kept(pair[0]) & !dword.kept(pair[1]), 0);
        }
    }

    #[test]
    fn pieces_put_together_are_the_access(offset in 0_u64..0x1000, data in prop::collection::vec(any::<u8>(), 0..64)) {
        let mut memory = vec![0_u8; 0x1100];
        for piece in split(offset, data.len()) {
            let write = piece.write(&data);
            for byte in (0..4).filter(|byte| write.lanes().covers(*byte)) {
                memory[piece.offset as usize + byte] = write.value().to_le_bytes()[byte];
            }
        }
        prop_assert_eq!(&memory[offset as usize..offset as usize + data.len()], &data[..]);
        let mut back = vec![0; data.len()];
        for piece in split(offset, data.len()) {
            let at = piece.offset as usize;
            let dword = u32::from_le_bytes(memory[at..at + 4].try_into().unwrap());
            piece.fill(dword, &mut back);
        }
        prop_assert_eq!(back, data);
    }
}
