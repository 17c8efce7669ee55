//! Files and settings of the job shop that are not to be trusted.

use crate::games::fresh;
use crate::job_shop::{files, ft06, ft06_file, json_of};
use synod::env::job_shop::{Floor, Instance, JobShopConfig, Source};
use synod::env::{Buffers, WorldConfig};

#[test]
fn hostile_files_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.json");
    let good = json_of(&ft06()).to_string();
    let many = format!("{{\"jobs\":[{}]}}", vec!["[[0,1]]"; 1025].join(","));
    let long = format!("{{\"jobs\":[[{}]]}}", vec!["[0,1]"; (1 << 14) + 1].join(","));
    let work = format!("{{\"jobs\":[[{}]]}}", vec!["[0,1000000]"; 1100].join(","));
    let deep = format!("{{\"jobs\":{}{}}}", "[".repeat(5000), "]".repeat(5000));
    for (text, part) in [
        (good[..good.len() / 2].to_string(), "is no JSON"),
        (String::new(), "is no JSON"),
        (deep, "is no JSON"),
        ("[]".into(), "jobs: expected a list"),
        ("{\"jobs\":[]}".into(), "jobs: expected 1 to 1024"),
        ("{\"jobs\":[[]]}".into(), "jobs[0]: expected 1 to"),
        ("{\"jobs\":[[[]]]}".into(), "jobs[0][0]"),
        ("{\"jobs\":[[[0,-3]]]}".into(), "jobs[0][0]: duration: expected a whole number"),
        ("{\"jobs\":[[[0,2.5]]]}".into(), "jobs[0][0]: duration"),
        ("{\"jobs\":[[[0,0]]]}".into(), "duration 0"),
        ("{\"jobs\":[[[0,1e300]]]}".into(), "jobs[0][0]: duration"),
        ("{\"jobs\":[[[0,4294967295]]]}".into(), "duration 4294967295"),
        ("{\"jobs\":[[[256,1]]]}".into(), "machine 256"),
        ("{\"jobs\":[[[-1,1]]]}".into(), "machine: expected"),
        ("{\"machines\":2,\"jobs\":[[[2,1]]]}".into(), "machine 2 of 2"),
        ("{\"machines\":1e9,\"jobs\":[[[2,1]]]}".into(), "machines: expected"),
        ("{\"jobs\":[[[0,1,2]]]}".into(), "jobs[0][0]"),
        ("{\"jobs\":[[[[0,1],[0,2]]]]}".into(), "machine 0 twice"),
        ("{\"jobs\":[[[[0,1],7]]]}".into(), "jobs[0][0]: expected a list"),
        ("{\"jobs\":[[[0,9]]],\"published_optimum\":8}".into(), "an optimum of 8"),
        ("{\"jobs\":[[[0,9]]],\"published_optimum\":10}".into(), "an optimum of 10"),
        ("{\"jobs\":[[[0,9]]],\"published_optimum\":\"9\"}".into(), "published_optimum"),
        (many, "jobs: expected 1 to 1024 entries, got 1025"),
        (long, "jobs[0]: expected 1 to 16384"),
        (work, "units of work"),
    ] {
        std::fs::write(&path, &text).unwrap();
        let error = Instance::load(&path).unwrap_err().to_string();
        assert!(error.contains("bad.json") && error.contains(part), "`{part}` in `{error}`");
        let error = WorldConfig::new(files(&[&path])).build(1).err().unwrap().to_string();
        assert!(error.contains("bad.json"), "{error}");
    }
    std::fs::write(&path, [b'{', 0xff, 0xfe]).unwrap();
    assert!(Instance::load(&path).unwrap_err().to_string().contains("not a text in UTF-8"));
    std::fs::write(&path, vec![b' '; (4 << 20) + 1]).unwrap();
    assert!(Instance::load(&path).unwrap_err().to_string().contains("bytes or more"));
    let missing = folder.path().join("missing.json");
    assert!(Instance::load(missing).unwrap_err().to_string().contains("missing.json"));
    // Cut anywhere, changed anywhere: an error or an instance, never a panic.
    let mut random = fresh();
    for _ in 0..500 {
        let mut bytes = good.clone().into_bytes();
        for _ in 0..1 + random.below(4) {
            let at = random.below(bytes.len());
            bytes[at] = b"0123456789[]{},-.e\"x"[random.below(20)];
        }
        bytes.truncate(if random.below(4) == 0 { random.below(bytes.len()) } else { bytes.len() });
        std::fs::write(&path, &bytes).unwrap();
        if let Ok(instance) = Instance::load(&path) {
            assert!(Floor::new(&instance).bound(&instance) == instance.bound());
        }
    }
}

#[test]
fn settings_of_the_job_shop_are_refused_by_name() {
    let (_folder, path) = ft06_file();
    let none = tempfile::tempdir().unwrap();
    let sized = |size| Source::Random { sizes: vec![size], durations: [1, 99], alternatives: 1 };
    let random = |source| JobShopConfig { source, ..Default::default() };
    for (config, key) in [
        (random(sized([0, 3])), "world.source.sizes"),
        (random(sized([3, usize::MAX])), "world.source.sizes"),
        (random(sized([1024, 256])), "world.source.sizes"),
        (random(Source::Random { sizes: vec![], durations: [1, 9], alternatives: 1 }), "world.source.sizes"),
        (
            random(Source::Random { sizes: vec![[2, 2]], durations: [0, 9], alternatives: 1 }),
            "world.source.durations",
        ),
        (
            random(Source::Random { sizes: vec![[2, 2]], durations: [9, 8], alternatives: 1 }),
            "world.source.durations",
        ),
        (
            random(Source::Random { sizes: vec![[2, 2]], durations: [9, 9], alternatives: 0 }),
            "world.source.alternatives",
        ),
        (JobShopConfig { jobs: 5, ..files(&[&path]) }, "world.jobs"),
        (JobShopConfig { machines: 5, ..files(&[&path]) }, "world.machines"),
        (JobShopConfig { jobs: 1 << 20, ..files(&[&path]) }, "world.jobs"),
        (JobShopConfig { coming: 65, ..files(&[&path]) }, "world.coming"),
        (files(&[none.path()]), "world.source.paths"),
        (files(&[]), "world.source.paths"),
    ] {
        let error = WorldConfig::new(config).build(1).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(error.contains(key), "`{key}` in `{error}`");
    }
}

#[test]
fn a_changed_file_is_another_world() {
    let (_folder, path) = ft06_file();
    let config = WorldConfig::new(files(&[&path]));
    let mut env = config.build(1).unwrap();
    let mut out = Buffers::new(env.spec());
    env.reset(&[true], &mut out).unwrap();
    let bytes = env.save();
    config.build(1).unwrap().load(&bytes).unwrap();
    let text = std::fs::read_to_string(&path).unwrap().replace("[2,1],[0,3]", "[2,1],[0,4]");
    std::fs::write(&path, text).unwrap();
    let error = config.build(1).unwrap().load(&bytes).unwrap_err().to_string();
    assert!(error.contains("other settings"), "{error}");
}
