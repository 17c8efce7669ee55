//! Sizes that make no sense: an error, whatever they are, and never memory that is not the caller's.
#![forbid(unsafe_code)]

use synod_cpu::conv::Conv2d;
use synod_cpu::gemm::{Batch, Epilogue, Matrix, Panels, gemm, gemm_batched};
use synod_cpu::{Parallel, for_each_chunk, for_each_chunk_mut};

const HUGE: [usize; 6] = [1 << 30, 1 << 32, 1 << 60, 1 << 62, usize::MAX / 2, usize::MAX];

fn strided(data: &[f32], row_stride: usize, column_stride: usize) -> Matrix<'_> {
    Matrix { data, row_stride, column_stride }
}

#[test]
fn sums_over_more_terms_than_there_are_elements_are_refused() {
    let a = [1f32; 4];
    for k in HUGE.into_iter().chain([5]) {
        let mut c = [7f32; 4];
        let all = strided(&a, 0, 0);
        assert!(gemm(2, 2, k, all, all, &mut c, 2, false, Epilogue::NONE).is_err(), "k = {k}");
        assert_eq!(c, [7.0; 4]);
    }
    // Elements that stand for several terms are fine where the other operand has as many.
    let mut c = [0f32; 4];
    let all = strided(&a, 0, 0);
    gemm(2, 2, 4, all, strided(&a, 1, 0), &mut c, 2, false, Epilogue::NONE).unwrap();
    assert_eq!(c, [4.0; 4]);
}

#[test]
fn products_out_of_range_are_refused() {
    let (a, mut c) = ([0f32; 4], [0f32; 4]);
    let none = strided(&a, 0, 0);
    let mut refused = |m, n, k, ldc| gemm(m, n, k, none, none, &mut c, ldc, false, Epilogue::NONE).is_err();
    for huge in HUGE {
        assert!(refused(huge, 1, 1, 0), "rows {huge}");
        assert!(refused(1, huge, 1, 1), "columns {huge}");
        assert!(refused(huge, huge, 0, 0), "both {huge}");
        assert!(refused(2, 1, 1, huge), "rows {huge} apart");
    }
    assert!(refused(2, 2, 2, 1), "rows of C that overlap");
    for huge in HUGE {
        let mut c = [7f32; 2];
        // Without terms neither A nor B is read, however far apart their elements are said to lie.
        let far = strided(&a, huge, huge);
        let batch = Batch { count: 2, a: huge, b: huge, c: 1, bias: 0 };
        for parallel in [Parallel::Serial, Parallel::Pool] {
            gemm_batched(batch, 1, 1, 0, far, far, &mut c, 1, false, Epilogue::NONE, parallel).unwrap();
            assert_eq!(c, [0.0; 2]);
        }
        assert!(
            gemm_batched(batch, 1, 1, 1, far, far, &mut c, 1, false, Epilogue::NONE, Parallel::Pool).is_err()
        );
    }
}

#[test]
fn panels_out_of_range_are_refused() {
    let data = [1f32; 16];
    for huge in HUGE {
        let mut room = [0f32; 64];
        let all = strided(&data, 0, 0);
        assert!(Panels::pack(huge, huge, all, &mut room, Parallel::Serial).is_err());
        assert!(Panels::pack(huge, 1, all, &mut room, Parallel::Serial).is_err());
        assert!(Panels::pack(1, huge, all, &mut room, Parallel::Serial).is_err());
        // No terms, no panels.
        let empty = Panels::pack(0, huge, all, &mut room, Parallel::Serial).unwrap();
        let mut c = [0f32; 4];
        assert!(empty.multiply(1, all, &mut c, huge, false, None).is_err());
        empty.multiply(0, all, &mut c, huge, false, None).unwrap();
        let few = Panels::of(4, 4, &room);
        assert!(few.multiply(huge, all, &mut c, 4, false, None).is_err());
        assert!(Panels::of(huge, 4, &room).multiply(1, all, &mut c, 4, false, None).is_err());
        assert!(Panels::of(4, huge, &room).multiply(1, all, &mut c, 4, false, None).is_err());
    }
    let mut room = vec![0f32; Panels::room(0, 3)];
    let empty = Panels::pack(0, 3, strided(&data, 1, 1), &mut room, Parallel::Serial).unwrap();
    let mut c = [7f32; 6];
    empty.multiply(2, strided(&data, usize::MAX, 1), &mut c, 3, false, Some(&[1.0, 2.0, 3.0])).unwrap();
    assert_eq!(c, [1.0, 2.0, 3.0, 1.0, 2.0, 3.0]);
}

#[test]
fn convolutions_out_of_range_are_refused() {
    let small = Conv2d {
        images: 1,
        height: 3,
        width: 3,
        channels_in: 1,
        channels_out: 1,
        kernel: [2, 2],
        stride: [1, 1],
        padding: [0, 0],
    };
    let (x, w) = ([1f32; 9], [1f32; 4]);
    let attempt = |c: Conv2d| {
        let (mut y, mut dx, mut dw) = ([0f32; 4], [0f32; 9], [0f32; 4]);
        let forward = c.forward(&x, &w, &mut y, Epilogue::NONE, Parallel::Serial);
        let gradients = [
            c.input_gradient(&y, &w, &mut dx, Parallel::Serial),
            c.weight_gradient(&x, &y, &mut dw, Parallel::Serial),
        ];
        (forward.is_ok(), gradients.iter().all(Result::is_ok))
    };
    assert_eq!(attempt(small), (true, true));
    for huge in HUGE {
        for c in [
            Conv2d { images: huge, ..small },
            Conv2d { height: huge, ..small },
            Conv2d { width: huge, ..small },
            Conv2d { channels_in: huge, ..small },
            Conv2d { channels_out: huge, ..small },
            Conv2d { kernel: [huge, 2], ..small },
            Conv2d { kernel: [2, huge], ..small },
            Conv2d { padding: [huge, 0], ..small },
            Conv2d { padding: [0, huge], ..small },
            Conv2d { stride: [0, 1], ..small },
            Conv2d { height: huge, width: huge, images: 0, ..small },
        ] {
            assert_eq!(attempt(c), (false, false), "{c:?}");
        }
        // Steps beyond the image: one place alone, or an error where their products are out of range.
        let stepped = Conv2d { stride: [huge, huge], height: 2, width: 2, ..small };
        let mut y = [0f32; 1];
        let at_once = stepped.forward(&x[..4], &w, &mut y, Epilogue::NONE, Parallel::Serial);
        assert!(at_once.is_err() || y == [4.0]);
    }
    // No channels: nothing is summed, and it does not take for ever either.
    for huge in [1 << 40, 1 << 60] {
        let none = Conv2d { height: huge, kernel: [huge, 1], width: 1, channels_in: 0, ..small };
        let mut y = [7f32; 1];
        let bias = Epilogue { bias: Some(&[2.0]), ..Epilogue::NONE };
        none.forward(&[], &[], &mut y, bias, Parallel::Serial).unwrap();
        assert_eq!(y, [2.0]);
        let none = Conv2d { channels_out: 0, padding: [huge, 0], kernel: [huge, 2], ..small };
        let mut dx = [7f32; 9];
        none.input_gradient(&[], &[], &mut dx, Parallel::Serial).unwrap();
        assert_eq!(dx, [0.0; 9]);
    }
}

#[test]
fn pieces_out_of_range_are_one_piece() {
    for huge in HUGE {
        for parallel in [Parallel::Serial, Parallel::Pool] {
            let seen = std::sync::atomic::AtomicUsize::new(0);
            for_each_chunk(parallel, 5, huge, |range| {
                seen.fetch_add(range.len(), std::sync::atomic::Ordering::Relaxed);
            });
            assert_eq!(seen.into_inner(), 5);
            let mut out = [0u8; 5];
            for_each_chunk_mut(parallel, &mut out, huge, huge, |_, part| part.fill(1));
            assert_eq!(out, [1; 5]);
        }
    }
}
