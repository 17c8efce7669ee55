use std::fs;

use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::*;

fn sample(seed: u64) -> Checkpoint {
    let mut random = StdRng::seed_from_u64(seed);
    let mut checkpoint = Checkpoint::new();
    for (i, shape) in [vec![], vec![3, 5], vec![0, 4], vec![1, 1, 7], vec![13]].into_iter().enumerate() {
        let elements: usize = shape.iter().product();
        for (dtype, element_type) in TYPES {
            let bytes: Vec<u8> = (0..elements * element_type.size()).map(|_| random.random()).collect();
            let tensor = TensorData::new(&shape, element_type, bytes).unwrap();
            checkpoint.insert(format!("part \"{i}\"/{dtype}/wéight"), tensor);
        }
    }
    checkpoint.set("architecture", "a \"quoted\" \n name");
    checkpoint.set("synod.format", FORMAT);
    checkpoint.set("counter", f64::from_bits(0x3fb999999999999a));
    checkpoint
}

#[test]
fn the_same_bits_come_back_and_other_programs_read_them() {
    let seed = rand::random();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.safetensors");
    let checkpoint = sample(seed);
    write(&path, &checkpoint).unwrap();
    assert_eq!(read(&path).unwrap(), checkpoint, "seed {seed}");
    assert_eq!(read_metadata(&path).unwrap(), checkpoint.metadata);
    let part = read_part(&path, "part \"1\"/").unwrap();
    let wanted = checkpoint.tensors.iter().filter(|(name, _)| name.starts_with("part \"1\"/"));
    assert!(part.tensors.iter().eq(wanted) && part.tensors.len() == TYPES.len(), "seed {seed}");
    let bytes = fs::read(&path).unwrap();
    let theirs = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(theirs.len(), checkpoint.tensors.len());
    for (name, tensor) in &checkpoint.tensors {
        let view = theirs.tensor(name).unwrap();
        assert_eq!((view.shape(), view.data()), (tensor.shape(), tensor.bytes()), "{name}, seed {seed}");
        assert_eq!(format!("{:?}", view.dtype()).to_lowercase(), tensor.element_type().to_string());
    }
    write(&path, &checkpoint).unwrap();
    assert_eq!(fs::read(&path).unwrap(), bytes, "two saves of one state differ");
}

#[test]
fn the_previous_checkpoint_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.safetensors");
    for seed in 0..3 {
        write(&path, &sample(seed)).unwrap();
    }
    assert_eq!(read(&path).unwrap(), sample(2));
    assert_eq!(previous_of(&path), folder.path().join("checkpoint.previous.safetensors"));
    assert_eq!(read(&previous_of(&path)).unwrap(), sample(1));
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let seed = rand::random();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("whole");
    write(&path, &sample(seed)).unwrap();
    let bytes = fs::read(&path).unwrap();
    let cut = folder.path().join("cut");
    for length in 0..bytes.len() {
        fs::write(&cut, &bytes[..length]).unwrap();
        assert!(matches!(read(&cut), Err(Error::File { .. })), "seed {seed}, cut at {length}");
    }
    fs::write(&cut, [&bytes[..], b"x"].concat()).unwrap();
    assert!(read(&cut).unwrap_err().to_string().contains("after its last tensor"));
}

/// A checkpoint as the format without checksums had it.
fn unchecked(checkpoint: &Checkpoint) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new");
    write(&path, checkpoint).unwrap();
    let bytes = fs::read(&path).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let texts = header["__metadata__"].as_object_mut().unwrap();
    texts.retain(|key, _| !key.starts_with("synod.checksum"));
    texts["synod.format"] = "1".into();
    let header = header.to_string();
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &bytes[8 + length..]].concat()
}

#[test]
fn every_flipped_bit_is_refused() {
    let seed = rand::random();
    let mut random = StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flipped");
    let mut checkpoint = Checkpoint::new();
    let numbers: Vec<f32> = (0..7).map(|_| random.random()).collect();
    checkpoint.insert("agent/w", TensorData::f32(&[7], &numbers).unwrap());
    checkpoint.insert("trainer/counters", TensorData::u64(&[2], &[512, 1]).unwrap());
    checkpoint.insert("worlds/none", TensorData::u8(&[0], &[]).unwrap());
    checkpoint.set("architecture", "toy");
    checkpoint.set("synod.step", 512);
    write(&path, &checkpoint).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    for bit in 0..bytes.len() * 8 {
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, &bytes).unwrap();
        assert!(matches!(read(&path), Err(Error::File { .. })), "seed {seed}: bit {bit} is not noticed");
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
    // The texts alone, and a part: what is read is checked.
    fs::write(&path, &bytes).unwrap();
    let end = bytes.len();
    bytes[end - 1] ^= 1; // the last tensor's last byte: the last number of `agent/w`
    let damaged = folder.path().join("damaged");
    fs::write(&damaged, &bytes).unwrap();
    assert!(read_metadata(&damaged).is_ok() && read_part(&damaged, "trainer/").is_ok());
    let error = read_part(&damaged, "agent/").unwrap_err().to_string();
    assert!(error.contains("damaged") && error.contains("agent/w"), "{error}");
}

#[test]
fn files_without_checksums_are_read_and_told_apart_from_damaged_ones() {
    let seed = rand::random();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("old");
    let bytes = unchecked(&sample(seed));
    fs::write(&path, &bytes).unwrap();
    let old = read(&path).unwrap();
    assert_eq!(old.tensors, sample(seed).tensors, "seed {seed}");
    assert_eq!(old.get::<String>("synod.format").unwrap(), "1");
    // A new file that lost its checksum, and an old one that says it has one.
    let header = |text: &str| {
        let text = text.replace('\'', "\"");
        fs::write(&path, [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()).unwrap();
        read(&path).unwrap_err().to_string()
    };
    assert!(header("{'__metadata__':{'synod.format':'2'}}").contains("is damaged"));
    let mixed = header("{'__metadata__':{'synod.format':'1','synod.checksum':'00000000'}}");
    assert!(mixed.contains("is damaged"), "{mixed}");
}

#[test]
fn damaged_headers_never_panic() {
    let seed: u64 = rand::random();
    let mut random = StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("whole");
    write(&path, &sample(seed)).unwrap();
    let bytes = fs::read(&path).unwrap();
    let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let damaged = folder.path().join("damaged");
    for _ in 0..2000 {
        let mut copy = bytes.clone();
        for _ in 0..random.random_range(1..4) {
            copy[random.random_range(0..header)] = random.random();
        }
        fs::write(&damaged, &copy).unwrap();
        let _ = read(&damaged);
    }
}

#[test]
fn hostile_headers_are_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hostile");
    let refused = |header: &str, data: usize, reason: &str| {
        let header = header.replace('\'', "\"");
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.bytes());
        bytes.resize(bytes.len() + data, 0);
        fs::write(&path, bytes).unwrap();
        let error = read(&path).unwrap_err();
        assert!(matches!(error, Error::File { .. }), "{error:?}");
        assert!(error.to_string().contains(reason), "{error} lacks {reason:?}");
    };
    let meta = "'__metadata__':{'synod.format':'1'}"; // without checksums, which a hostile file could have right
    let f32s = |name: &str, shape: &str, offsets: &str| {
        format!("'{name}':{{'dtype':'F32','shape':{shape},'data_offsets':{offsets}}}")
    };
    let header = |tensors: &[String]| format!("{{{meta},{}}}", tensors.join(","));
    refused(&header(&[f32s("a", "[2]", "[0,8]"), f32s("b", "[2]", "[4,12]")]), 12, "overlaps");
    refused(&header(&[f32s("a", "[2]", "[4,12]")]), 12, "gap");
    refused(&header(&[f32s("a", "[4294967296,4294967296]", "[0,0]")]), 0, "overflows");
    refused(&header(&[f32s("a", "[1000000000000]", "[0,4000000000000]")]), 64, "cut short");
    refused(&header(&[f32s("a", "[2]", "[8,0]")]), 8, "offsets");
    refused(&header(&[f32s("a", "[2]", "[0,8,9]")]), 8, "two offsets");
    refused(&header(&[f32s("a", "[-1]", "[0,8]")]), 8, "expected u64");
    refused(&header(&["'a':{'dtype':'BF16','shape':[1],'data_offsets':[0,2]}".into()]), 2, "BF16");
    refused(&header(&["'a':7".into()]), 2, "expected struct");
    refused(&header(&["'a':{'shape':[],'data_offsets':[0,4]}".into()]), 4, "no dtype");
    refused(&header(&[f32s("a", "[2]", "[0,8]"), f32s("a", "[2]", "[8,16]")]), 16, "twice");
    refused(&header(&[f32s("a", &format!("[{}1]", "1,".repeat(40)), "[0,4]")]), 4, "more than 32");
    refused(&format!("{{{meta},'a':[{}0]}}", "{'':0},".repeat(100)), 0, "tensor");
    refused("{}", 0, "no checkpoint of synod");
    refused("{'__metadata__':{'synod.format':'99'}}", 0, "format 99");
    refused("{'__metadata__':{'synod.format':1}}", 0, "expected a string");
    refused("{'__metadata__':{'a':'1','a':'1'}}", 0, "twice");
    refused("[]", 0, "header");
    refused(&"[".repeat(200_000), 0, "header");
    fs::write(&path, [u64::MAX.to_le_bytes(), [0; 8]].concat()).unwrap();
    assert!(read(&path).unwrap_err().to_string().contains("not a safetensors file"));
    fs::write(&path, [1_000_000u64.to_le_bytes(), [0; 8]].concat()).unwrap();
    assert!(read(&path).unwrap_err().to_string().contains("inside its header"));
    assert!(read(folder.path()).is_err());
    assert!(read(&folder.path().join("none")).unwrap_err().to_string().contains("no checkpoint"));
}
