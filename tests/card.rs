//! The rows of the timing card at small, odd sizes: what is timed computes what it says.

// The card's rows and the tests' common part load the same generator.
#![allow(clippy::duplicate_mod)]

#[allow(dead_code)] // The bench uses all of it.
#[path = "../benches/card/check.rs"]
mod check;
#[path = "../engine/tests/common/mod.rs"]
mod common;
#[allow(dead_code)]
#[path = "../benches/card/cost.rs"]
mod cost;
#[path = "../benches/card/reference.rs"]
mod reference;
#[path = "../benches/card/report.rs"]
mod report;
#[allow(dead_code)]
#[path = "../benches/card/workloads.rs"]
mod workloads;

use common::{Random, devices};
use workloads::{Pass, Row, Work, rows};

/// The work with other sizes.
fn small(work: Work) -> Work {
    match work {
        Work::Matmul { b, .. } => Work::Matmul { b: b.min(3), m: 17, k: 9, n: 13 },
        Work::Linear { .. } => Work::Linear { m: 19, k: 7, n: 11 },
        Work::MlpAdam { .. } => Work::MlpAdam { m: 29, i: 11, o: 3 },
        Work::Attention { .. } => Work::Attention { b: 3, t: 7, d: 12, h: 3 },
        Work::MemoryRead { .. } => Work::MemoryRead { a: 5, s: 21, d: 12, h: 3 },
        Work::Lstm { .. } => Work::Lstm { b: 3, t: 5, i: 7, h: 9 },
        Work::Gat { .. } => Work::Gat { n: 13, e: 39, i: 7, heads: 3, o: 5 },
        Work::MessageSum { .. } => Work::MessageSum { n: 17, e: 51, i: 5 },
        Work::SsmScan { .. } => Work::SsmScan { b: 2, l: 11, c: 5, n: 3 },
        // Parameters are padded to a multiple of 64, and so would the gradient have to be.
        Work::Adam { .. } => Work::Adam { p: 128 },
        Work::Tanh { .. } => Work::Tanh { n: 101 },
        Work::Softmax { .. } => Work::Softmax { m: 7, n: 19 },
        Work::Chain { .. } => Work::Chain { n: 9 },
        Work::Fan { .. } => Work::Fan { n: 17 },
    }
}

#[test]
fn rows_compute_what_they_say() {
    let mut random = Random::fresh();
    for device in devices() {
        for row in rows() {
            let row = Row { work: small(row.work), ..row };
            if let Err(message) = check::check(&row, &device, random.bits()) {
                panic!("on {}: {message}", device.name());
            }
        }
    }
}

#[test]
fn a_wrong_gradient_is_found() {
    let row = Row { name: "softmax".into(), work: Work::Softmax { m: 3, n: 5 }, pass: Pass::Gradient };
    let random = &mut workloads::Normal::seeded(1);
    let values = row.work.values(random);
    let mut runner = workloads::Runner::new(&row, &synod::Device::cpu(), &values, &[]).unwrap();
    runner.run().unwrap();
    let [x, gradient] = [&values, &runner.results().unwrap()]
        .map(|v| vec![v[0].iter().map(|&x| f64::from(x)).collect::<Vec<_>>()]);
    check::check_gradient(row.work, &x, &[], &gradient, random).unwrap();
    let wrong = vec![gradient[0].iter().map(|g| 1.5 * g).collect::<Vec<_>>()];
    check::check_gradient(row.work, &x, &[], &wrong, random).unwrap_err();
    check::check_gradient(Work::Tanh { n: 15 }, &x, &[], &gradient, random).unwrap_err();
}

#[test]
fn costs_are_those_of_the_sizes() {
    for row in rows() {
        let cost = cost::cost(&row);
        assert!(cost.operations > 0.0 && cost.bytes > 0.0, "{}", row.name);
    }
    let of = |work, pass| cost::cost(&Row { name: String::new(), work, pass });
    let chain = of(Work::Chain { n: 3 }, Pass::Forward);
    assert_eq!((chain.operations, chain.bytes), (3.0 * 128.0, 4.0 * 48.0));
    let product = of(Work::Matmul { b: 0, m: 2, k: 3, n: 5 }, Pass::Forward);
    assert_eq!((product.operations, product.bytes), (60.0, 4.0 * 31.0));
}

#[test]
fn logs_of_a_run_become_tables() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    assert!(report::gather(folder.path()).unwrap_err().contains("steps.tsv"));
    write("machine.tsv", "date\t2026-11-30\ngpu\tA card\n");
    let steps = [
        "ops\t101\t61.5\t90\tops",
        "dispatch\t0\t2\t20\tcard time",
        "host\t0\t1\t9\tcard host",
        "time\t124\t60\t60\tcard time",
        "torch\t0\t9\t60\tpython3",
        "train-bottleneck-2048-gpu\t124\t15\t15\tsynod train",
        "kernels-mazes\t124\t9\t9\tsynod train",
        "devices\t0\t1\t9\tsynod devices",
    ];
    write("steps.tsv", &(steps.join("\n") + "\n"));
    write(
        "ops.out",
        "running 3 tests\ntest a::b ... ok\ntest c::d ... FAILED\ntest e ... ignored\n\ntest result: FAILED.\n",
    );
    write("dispatch.out", "chain/200/fwd\t8.0e-4\t7e-4\nfan/200/fwd\t2.0e-4\t2e-4\n");
    write("host.out", "200\t1.5e-7\t9e-7\n");
    write("time.out", "tanh/1M/fwd\t3.0e-5\t2e-5\nsoftmax/4096x256/fwd\t1.0e-5\t1e-5\nadam/1M/tr");
    write("torch.out", "tanh/1M/fwd\t1.5e-5\t1e-5\n");
    write(
        "train-bottleneck-2048-gpu.csv",
        "step,updates,wall/seconds,return\n100,1,9.0,0\n200,2,10.0,0\n1200,3,11.0,0\n",
    );
    let small = "GPU times of 3 dispatches, 9 runs: 1.0 us a run\n 100.0 %        1.0 us     3 x tanh/main\n";
    let large = "GPU times of 70 dispatches, 2 runs: 500.0 us a run\n  80.0 %      400.0 us    69 x matmul/tile\n  20.0 %      100.0 us     1 x sum/rows\n";
    write("kernels-mazes.err", &format!("noise\n{small}{large}"));
    let found = report::gather(folder.path()).unwrap();
    let of = |step: &str| &found["steps"][step];
    assert_eq!(of("ops")["tests"], serde_json::json!({ "passed": 1, "failed": ["c::d"] }));
    assert!(of("ops")["tail"].as_array().unwrap().iter().any(|line| line == "test result: FAILED."));
    assert_eq!(of("time")["rows"].as_object().unwrap().len(), 2);
    assert_eq!(of("train-bottleneck-2048-gpu")["steps_per_second"], 1000.0);
    assert_eq!(of("kernels-mazes")["programs"][0]["dispatches"], 70);
    assert_eq!(of("kernels-mazes")["programs"][1]["kernels"][0]["kernel"], "tanh/main");
    let [begin, end] = report::MARKS;
    let merged = report::merge(&found, &format!("before\n{begin}\nold\n{end}\nafter\n")).unwrap();
    assert!(
        merged.starts_with(&format!("before\n{begin}\n")) && merged.ends_with(&format!("\n{end}\nafter\n"))
    );
    assert!(!merged.contains("old"));
    for line in [
        "| `ops` | 1 | c::d | 62 | with an error |",
        "takes 4.00 us (`chain/200`), one of many that need not wait 1.00 us",
        "| `tanh/1M/fwd` | 3.00e-5 |  |  | 1.50e-5 |  |  | 2.00 |",
        "| `softmax/4096x256/fwd` | 1.00e-5 |  |  |  |  |  |  |",
        "| bottleneck-2048-gpu | 1000 |",
        "| `matmul/tile` | 69 | 400.0 | 80.0 % |",
    ] {
        assert!(merged.contains(line), "`{line}` is not in\n{merged}");
    }
    // Merging again changes nothing.
    assert_eq!(report::merge(&found, &merged).unwrap(), merged);
    assert!(report::merge(&found, "no marks").is_err());
    assert!(report::merge(&found, &format!("{end}\n{begin}")).is_err());
}
