//! Draws against NumPy 1.26's `default_rng`.

use synod::env::pathfinding::{Instance, Pcg64};

#[test]
fn raw_words_doubles_and_bounded_integers() {
    // default_rng(seed): two raw words; then afresh: random(), three integers(0, 1000), random().
    let known: [(u64, [u64; 2], f64, [u32; 3], f64); 6] = [
        (
            0,
            [0xa30febcfd9c2825f, 0x4510bdf882d9d721],
            0.6369616873214543,
            [511, 269, 307],
            0.016527635528529094,
        ),
        (1, [0x8306bdf37922e4ff, 0xf35196bbc152a866], 0.5118216247002567, [755, 950, 34], 0.9486494471372439),
        (
            12345,
            [0x3a32b18db2ffc19d, 0x51171315c9e4c4de],
            0.22733602246716966,
            [788, 316, 204],
            0.6762546707509746,
        ),
        (
            1 << 32,
            [0xe3c5ebe285ac1625, 0x8ea09968fe31dbcc],
            0.8897387912781343,
            [992, 557, 302],
            0.9565138174753386,
        ),
        (
            (1 << 40) + 7,
            [0xd46e9e2034de21aa, 0x415badc99c087675],
            0.829812891829413,
            [609, 255, 17],
            0.6745045458676086,
        ),
        (
            i64::MAX as u64,
            [0x2ceb59116fb27514, 0x784d3e7d390dc57c],
            0.1754661243027813,
            [222, 469, 612],
            0.3049326362166703,
        ),
    ];
    for (seed, raw, first, integers, last) in known {
        let mut random = Pcg64::new(seed);
        assert_eq!([random.bits64(), random.bits64()], raw, "seed {seed}");
        let mut random = Pcg64::new(seed);
        assert_eq!(random.double(), first, "seed {seed}");
        assert_eq!(integers.map(|_| random.below(1000)), integers, "seed {seed}");
        // Three 32-bit draws leave a half behind, which a double does not use.
        assert_eq!(random.double(), last, "seed {seed}");
    }
    assert_eq!(Pcg64::from_entropy(&[1, 2, 3, 4, 5, 6]).bits64(), 0x9f2e9b7b6e265292);
}

#[test]
fn rejection_in_bounded_integers() {
    let mut random = Pcg64::new(42);
    let known = [191664963, 1662057957, 1405681631, 942484272, 929893137, 1843824992];
    assert_eq!(known.map(|_| random.below(i32::MAX as u32)), known);
    let mut random = Pcg64::new(9);
    let known =
        [1357899096, 2803268902, 368376526, 1942876184, 2504612592, 2070044643, 2306637836, 2322549137];
    assert_eq!(known.map(|_| random.below(3 << 30)), known);
    let mut random = Pcg64::new(9);
    let before = random.clone();
    assert_eq!((random.below(0), random.below(1)), (0, 0));
    assert_eq!(random, before);
}

#[test]
fn shuffles() {
    let mut random = Pcg64::new(7);
    let mut items: Vec<u32> = (0..20).collect();
    random.shuffle(&mut items);
    assert_eq!(items, [3, 8, 12, 13, 14, 16, 10, 15, 1, 6, 0, 7, 4, 18, 5, 19, 17, 2, 9, 11]);
    assert_eq!(random.below(i32::MAX as u32), 1026816910);
    assert_eq!(random.double(), 0.5534973520744925);
}

#[test]
fn binomials() {
    for (p, known) in [
        (0.1, "0000000000000001000001000000000001000000"),
        (0.3, "0010000010000011000001001001010001000110"),
        (0.5, "0011000010010111011001001101010011010110"),
        (0.7, "1101111101111100111110110110101110111001"),
        (1.0, "1111111111111111111111111111111111111111"),
        (0.0, "0000000000000000000000000000000000000000"),
    ] {
        let mut random = Pcg64::new(3);
        let drawn: String = (0..40).map(|_| if random.bernoulli(p) { '1' } else { '0' }).collect();
        assert_eq!(drawn, known, "p = {p}");
    }
}

#[test]
fn words_restore_a_stream_with_its_half() {
    let mut random = Pcg64::new(crate::fresh_seed());
    for draws in 0..4 {
        for _ in 0..draws {
            random.bits32();
        }
        let mut restored = Pcg64::from_words(random.words());
        assert_eq!(restored, random);
        assert_eq!([restored.bits32(), restored.bits32()], [random.bits32(), random.bits32()]);
    }
}

#[test]
fn an_instance_without_room_is_refused() {
    let error = Instance::random(4, 4, 0.9, 8, 0).unwrap_err().to_string();
    assert!(error.contains("of 8 agents can be placed"), "{error}");
    assert!(Instance::random(4, 4, 1.5, 1, 0).is_err());
    assert!(Instance::random(0, 4, 0.5, 1, 0).is_err());
}
