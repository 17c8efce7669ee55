//! Ops that take or give indices, and casts.

use crate::common::{Case, Kind, check_covers, indices, integers, uniform};
use synod_engine::{Device, Graph, Tensor};

const COVERS: &[&str] =
    &["gather", "scatter_add", "take_along_last", "put_along_last", "one_hot", "argmax", "to_f32", "to_u32"];

/// `batches` of tables and lists of indices; a table or list that is there once only serves all batches.
fn gather(x: &[f64], index: &[f64], batches: usize, rows: usize, features: usize, n: usize) -> Vec<f64> {
    let mut out = Vec::new();
    for b in 0..batches {
        let table = &x[b * rows * features % x.len()..];
        let list = &index[b * n % index.len()..];
        for i in 0..n {
            let row = list[i] as usize;
            out.extend_from_slice(&table[row * features..(row + 1) * features]);
        }
    }
    out
}

fn scatter(x: &[f64], index: &[f64], batches: usize, rows: usize, features: usize, n: usize) -> Vec<f64> {
    let mut out = vec![0.0; batches * rows * features];
    for b in 0..batches {
        for i in 0..n {
            let row = index[(b * n + i) % index.len()] as usize;
            for f in 0..features {
                let from = ((b * n + i) * features + f) % x.len();
                out[(b * rows + row) * features + f] += x[from];
            }
        }
    }
    out
}

fn gather_case(lead: &[usize], index_lead: &[usize], rows: usize, features: usize, n: usize) -> Case {
    let batches = lead.iter().product::<usize>().max(index_lead.iter().product());
    let case = Case::new(
        "gather",
        vec![
            uniform([lead, &[rows, features]].concat(), -2.0..2.0),
            indices([index_lead, &[n]].concat(), rows),
        ],
        |_, x| vec![x[0].gather(x[1])],
        move |x| vec![gather(&x[0], &x[1], batches, rows, features, n)],
    );
    if rows * features * batches > 2000 { case.outputs_only() } else { case }
}

fn scatter_case(lead: &[usize], index_lead: &[usize], rows: usize, features: usize, n: usize) -> Case {
    let batches = lead.iter().product::<usize>().max(index_lead.iter().product());
    let case = Case::new(
        "scatter_add",
        vec![uniform([lead, &[n, features]].concat(), 0.1..2.0), indices([index_lead, &[n]].concat(), rows)],
        move |_, x| vec![x[0].scatter_add(x[1], rows)],
        move |x| vec![scatter(&x[0], &x[1], batches, rows, features, n)],
    );
    if n * features * batches > 2000 { case.outputs_only() } else { case }
}

fn cases() -> Vec<Case> {
    let mut cases = vec![
        gather_case(&[], &[], 5, 3, 7),
        gather_case(&[], &[], 1, 1, 1),
        gather_case(&[], &[2, 3], 5, 3, 4),
        gather_case(&[1], &[3], 5, 17, 4),
        gather_case(&[3], &[3], 5, 3, 4),
        gather_case(&[3], &[], 5, 3, 4),
        gather_case(&[2, 3], &[1, 1], 4, 2, 5),
        gather_case(&[], &[], 301, 67, 4099),
        gather_case(&[40], &[40], 33, 64, 300),
        scatter_case(&[], &[], 5, 3, 7),
        scatter_case(&[], &[], 1, 1, 1),
        scatter_case(&[3], &[3], 5, 3, 4),
        scatter_case(&[3], &[], 5, 3, 4),
        scatter_case(&[], &[3], 5, 3, 4),
        scatter_case(&[2, 3], &[1, 1], 4, 2, 5),
        scatter_case(&[], &[], 7, 300, 3),
        scatter_case(&[], &[], 37, 67, 5000),
        scatter_case(&[20], &[20], 33, 64, 300),
    ];
    cases.push(
        Case::new(
            "gather",
            vec![uniform([2, 1, 4, 3], -2.0..2.0), indices([5, 6], 4)],
            |_, x| vec![x[0].gather(x[1])],
            |x| {
                let table = |b: usize| &x[0][b * 12..(b + 1) * 12];
                vec![[gather(table(0), &x[1], 5, 4, 3, 6), gather(table(1), &x[1], 5, 4, 3, 6)].concat()]
            },
        )
        .label("both broadcast"),
    );
    for (lead, index_lead, n) in
        [(&[][..], &[][..], 5), (&[4], &[4], 3), (&[2, 3], &[2, 3], 1), (&[1], &[4], 5), (&[4], &[], 5)]
    {
        let count = lead.iter().product::<usize>().max(index_lead.iter().product());
        cases.push(Case::new(
            "take_along_last",
            vec![uniform([lead, &[n]].concat(), -2.0..2.0), indices(index_lead, n)],
            |_, x| vec![x[0].take_along_last(x[1])],
            move |x| {
                let at = |i: usize| i * n % x[0].len() + x[1][i % x[1].len()] as usize;
                vec![(0..count).map(|i| x[0][at(i)]).collect()]
            },
        ));
        cases.push(Case::new(
            "put_along_last",
            vec![uniform(lead, 0.5..2.0), indices(index_lead, n)],
            move |_, x| vec![x[0].put_along_last(x[1], n)],
            move |x| {
                let mut out = vec![0.0; count * n];
                for i in 0..count {
                    out[i * n + x[1][i % x[1].len()] as usize] = x[0][i % x[0].len()];
                }
                vec![out]
            },
        ));
    }
    for shape in [&[][..], &[7], &[3, 5]] {
        cases.push(Case::new(
            "one_hot",
            vec![indices(shape, 6)],
            |_, x| vec![x[0].one_hot(6)],
            |x| vec![x[0].iter().flat_map(|&i| (0..6).map(move |j| f64::from(i as usize == j))).collect()],
        ));
    }
    for (shape, n) in [(&[1][..], 1), (&[5], 5), (&[3, 17], 17), (&[2, 3, 200], 200), (&[9000, 41], 41)] {
        let mut input = uniform(shape, 0.0..1.0).fixed();
        // Whole numbers are often equal: the first counts.
        input.kind = Kind::Whole(50);
        cases.push(Case::new(
            "argmax",
            vec![input],
            |_, x| vec![x[0].argmax()],
            move |x| {
                let first = |row: &[f64]| {
                    let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                    row.iter().position(|&v| v == largest).unwrap() as f64
                };
                vec![x[0].chunks(n).map(first).collect()]
            },
        ));
    }
    cases.push(Case::new(
        "to_f32",
        vec![indices([13, 5], 1 << 24)],
        |_, x| vec![x[0].to_f32(), x[0].to_f32().to_u32().to_f32()],
        |x| vec![x[0].clone(), x[0].clone()],
    ));
    cases.push(
        Case::new(
            "to_f32",
            vec![integers([4], &[0, u32::MAX, (1 << 24) + 1, 1 << 31])],
            |_, x| vec![x[0].to_f32()],
            |_| vec![vec![0.0, 4_294_967_296.0, 16_777_216.0, 2_147_483_648.0]],
        )
        .label("the nearest float"),
    );
    cases.push(Case::new(
        "to_u32",
        vec![uniform([300], -3.0..100.0).fixed()],
        |_, x| vec![x[0].to_u32()],
        |x| vec![x[0].iter().map(|v| v.max(0.0).trunc()).collect()],
    ));
    cases
}

#[test]
fn cases_agree_with_references() {
    let cases = cases();
    check_covers(COVERS, &cases);
    cases.iter().for_each(Case::check);
}

#[test]
fn casts_hold_bounds() {
    for device in crate::common::devices() {
        let g = Graph::new();
        let mut program = device.compile(&g, &[g.input("x", [7]).to_u32()]).unwrap();
        let x = [f32::NAN, f32::INFINITY, -1.0, 4_294_967_040.0, 4_294_967_296.0, 1e30, -1e30];
        let out = program.run(&[("x", &x)]).unwrap();
        assert_eq!(out.u32(0), [0, u32::MAX, 0, 4_294_967_040, u32::MAX, u32::MAX, 0], "{}", device.name());
    }
}

#[test]
fn an_index_out_of_range_is_an_error_on_the_cpu() {
    type Build = for<'g> fn(Tensor<'g>, Tensor<'g>) -> Tensor<'g>;
    let ops: [(&str, Build); 5] = [
        ("gather", |x, i| x.gather(i)),
        ("scatter_add", |x, i| x.scatter_add(i, 3)),
        ("take_along_last", |x, i| x.slice(1, 0, 3).take_along_last(i)),
        ("put_along_last", |x, i| x.sum(&[1]).put_along_last(i, 3)),
        ("one_hot", |_, i| i.one_hot(3)),
    ];
    for (name, build) in ops {
        let g = Graph::new();
        let y = build(g.input("x", [3, 4]), g.input_u32("i", [3]));
        let mut program = Device::cpu().compile(&g, &[y]).unwrap();
        let x = [1.0f32; 12];
        let mut run = |indices: &[u32]| {
            let given: Vec<(&str, &dyn synod_engine::Data)> = vec![("x", &x), ("i", &indices)];
            let used: Vec<String> = program.inputs().map(|(n, _)| n.to_string()).collect();
            let given: Vec<_> = given.into_iter().filter(|(n, _)| used.iter().any(|u| u == n)).collect();
            program.run(&given).map(|_| ()).map_err(|e| e.to_string())
        };
        let message = run(&[0, 3, 1]).unwrap_err();
        assert!(message.contains(name) && message.contains("index 3 is not below 3"), "{name}: {message}");
        run(&[0, 2, 1]).unwrap();
    }
}

#[test]
fn wrong_operands_are_refused() {
    type Build = for<'g> fn(Tensor<'g>, Tensor<'g>) -> Tensor<'g>;
    let wrong: [(&str, Build); 7] = [
        ("gather", |x, _| x.gather(x)),
        ("gather", |x, i| x.sum(&[0]).gather(i)),
        ("scatter_add", |x, i| x.slice(0, 0, 2).scatter_add(i, 3)),
        ("take_along_last", |x, i| x.slice(0, 0, 2).take_along_last(i)),
        ("put_along_last", |x, _| x.put_along_last(x, 3)),
        ("one_hot", |x, _| x.one_hot(3)),
        ("argmax", |_, i| i.argmax()),
    ];
    for (name, build) in wrong {
        let g = Graph::new();
        let y = build(g.input("x", [3, 4]), g.input_u32("i", [3]));
        let message = Device::cpu().compile(&g, &[y]).err().expect(name).to_string();
        assert!(message.contains(name), "{name}: {message}");
    }
}
