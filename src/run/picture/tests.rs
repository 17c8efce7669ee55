//! Pictures are read back: GIFs by a decoder, SVGs as text.

use std::collections::BTreeSet;
use std::fs;

use super::*;

/// Two agents that pass each other in a corridor with a bay, and a third that jumps to new goals.
fn sample() -> Scene {
    let (width, height) = (9, 4);
    let mut obstacles = vec![true; width * height];
    for column in 1..8 {
        obstacles[width + column] = false;
    }
    obstacles[2 * width + 4] = false;
    obstacles[0] = false;
    obstacles[width - 1] = false;
    let ways: [&[(usize, usize)]; 2] = [
        &[(1, 1), (1, 2), (1, 3), (1, 4), (2, 4), (2, 4), (1, 4), (1, 5), (1, 6)],
        &[(1, 7), (1, 6), (1, 6), (1, 5), (1, 5), (1, 4), (1, 3), (1, 2), (1, 1)],
    ];
    let frames = (0..9)
        .map(|t| {
            let mut agents: Vec<AgentView> = (0..2)
                .map(|a| AgentView {
                    row: ways[a][t].0,
                    column: ways[a][t].1,
                    target: ways[a][8],
                    active: a == 0 || t < 8,
                    path: ways[a][t..].to_vec(),
                    attention: vec![0.2 + 0.05 * t as f32, 0.7 - 0.05 * t as f32, 0.1],
                })
                .collect();
            let corner = if t < 5 { 0 } else { 8 };
            agents.push(AgentView {
                column: corner,
                target: (0, corner),
                active: true,
                ..AgentView::default()
            });
            Frame { agents, caption: format!("step {t} <&>") }
        })
        .collect();
    Scene { width, height, obstacles, frames }
}

/// Decodes a GIF into its whole pictures and their delays.
fn decode(bytes: &[u8]) -> (usize, usize, Vec<(Vec<Colour>, u16)>) {
    let mut options = ::gif::DecodeOptions::new();
    options.set_color_output(::gif::ColorOutput::RGBA);
    let mut decoder = options.read_info(bytes).unwrap();
    let (width, height) = (decoder.width() as usize, decoder.height() as usize);
    let mut pixels = vec![[0u8; 3]; width * height];
    let mut pictures = Vec::new();
    while let Some(frame) = decoder.read_next_frame().unwrap() {
        for (i, rgba) in frame.buffer.chunks(4).enumerate().filter(|(_, c)| c[3] > 0) {
            let (x, y) = (
                frame.left as usize + i % frame.width as usize,
                frame.top as usize + i / frame.width as usize,
            );
            pixels[y * width + x] = [rgba[0], rgba[1], rgba[2]];
        }
        pictures.push((pixels.clone(), frame.delay));
    }
    (width, height, pictures)
}

fn gif_of(scene: &Scene) -> Result<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("picture.gif");
    write_gif(&path, scene).map(|()| fs::read(path).unwrap())
}

fn svg_of(scene: &Scene) -> Result<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("picture.svg");
    write_svg(&path, scene).map(|()| fs::read_to_string(path).unwrap())
}

#[test]
fn the_gif_shows_walls_agents_and_movement() {
    let scene = sample();
    let layout = Layout::of(&scene);
    let (width, height, pictures) = decode(&gif_of(&scene).unwrap());
    assert_eq!((width, height), (layout.width, layout.height));
    assert_eq!(pictures.len(), 8 * 3 + 1, "three pictures a step and the last state");
    assert_eq!(pictures.iter().map(|p| p.1 as usize).sum::<usize>(), 8 * 24 + 150, "hundredths of a second");
    let at = |picture: &[Colour], row: usize, column: usize| {
        let (x, y) = layout.centre(row as f32, column as f32);
        picture[y as usize * width + x as usize]
    };
    let (first, last) = (&pictures[0].0, &pictures[pictures.len() - 1].0);
    assert_eq!((at(first, 1, 0), at(first, 1, 1)), (OBSTACLE, AGENTS[0]));
    assert_eq!((at(first, 1, 7), at(last, 1, 6)), (AGENTS[1], AGENTS[0]));
    // The third agent jumps between corners that are not neighbours, and is in no picture in between.
    for (picture, _) in &pictures {
        let corners = [at(picture, 0, 0), at(picture, 0, 8)];
        assert_eq!(corners.iter().filter(|c| **c == AGENTS[2]).count(), 1);
    }
    assert_ne!(at(last, 1, 1), AGENTS[1], "an agent that has arrived is gone");
    let different: BTreeSet<&Vec<Colour>> = pictures.iter().map(|p| &p.0).collect();
    assert!(different.len() > 20, "{} different pictures: the movement is not smooth", different.len());
}

#[test]
fn attention_paths_and_captions_are_in_the_gif() {
    let whole = decode(&gif_of(&sample()).unwrap()).2;
    let mut without = [sample(), sample(), sample()];
    for frame in 0..9 {
        without[0].frames[frame].agents.iter_mut().for_each(|a| a.attention.clear());
        without[1].frames[frame].agents.iter_mut().for_each(|a| a.path.clear());
        without[2].frames[frame].caption.clear();
    }
    for (i, scene) in without.iter().enumerate() {
        assert!(decode(&gif_of(scene).unwrap()).2[0].0 != whole[0].0, "part {i} leaves no trace");
    }
}

#[test]
fn the_svg_holds_every_part_and_its_animations_are_well_formed() {
    let svg = svg_of(&sample()).unwrap();
    for part in ["step 3 &lt;&amp;&gt;", "class=\"agent\"", "stroke-dasharray", "attributeName=\"d\""] {
        assert!(svg.contains(part), "{part} is not in the picture");
    }
    assert_eq!(svg.matches("class=\"agent\"").count(), 3);
    let attribute = |element: &str, name: &str| -> Option<Vec<String>> {
        let begin = element.find(&format!(" {name}=\""))? + name.len() + 3;
        Some(element[begin..].split('"').next()?.split(';').map(str::to_string).collect())
    };
    let mut animations = 0;
    for element in svg.split('<').filter(|e| e.starts_with("animate")) {
        let values = attribute(element, "values").unwrap();
        animations += 1;
        let Some(times) = attribute(element, "keyTimes") else {
            assert_eq!(values.len(), 9 + svg::HOLD, "one value a state, then those of the rest: {element}");
            continue;
        };
        let times: Vec<f64> = times.iter().map(|t| t.parse().unwrap()).collect();
        assert_eq!(times.len(), values.len(), "{element}");
        assert!(times[0] == 0.0 && times.windows(2).all(|w| w[0] < w[1]), "{element}");
        assert!(times[times.len() - 1] < 1.0, "{element}");
    }
    assert!(animations > 15, "{animations} animations");
    // Every tag that is opened is closed.
    let mut open = Vec::new();
    for tag in svg.split('<').skip(1) {
        let (head, _) = tag.split_once('>').unwrap();
        match head.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name.to_string())),
            None if head.ends_with('/') => {}
            None => open.push(head.split(' ').next().unwrap().to_string()),
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn scenes_that_contradict_themselves_are_refused() {
    let refused = |change: &dyn Fn(&mut Scene), part: &str| {
        let mut scene = sample();
        change(&mut scene);
        for error in [gif_of(&scene).unwrap_err(), svg_of(&scene).unwrap_err()] {
            assert!(
                matches!(error, Error::Usage(_)) && error.to_string().contains(part),
                "{error} lacks {part}"
            );
        }
    };
    refused(&|s| s.width = 0, "nothing to draw");
    refused(&|s| s.height = usize::MAX, "obstacle flags");
    refused(&|s| _ = s.obstacles.pop(), "35 obstacle flags");
    refused(&|s| s.frames.clear(), "no frames");
    refused(&|s| _ = s.frames[3].agents.pop(), "2 agents in frame 3");
    refused(&|s| s.frames[2].agents[1].row = 4, "(4, ");
    refused(&|s| s.frames[2].agents[1].target = (0, 9), "(0, 9)");
    refused(&|s| s.frames[2].agents[1].path.push((7, 0)), "(7, 0)");
    refused(&|s| s.frames[2].agents[1].attention = vec![0.25; 4], "4 attention weights");
}

#[test]
fn odd_attention_and_captions_do_no_harm() {
    let mut scene = sample();
    scene.frames[1].agents[0].attention = vec![f32::NAN, f32::INFINITY, -1e30];
    scene.frames[2].caption = "\u{0}\u{7}\u{ffff} long é ".repeat(40);
    decode(&gif_of(&scene).unwrap());
    let svg = svg_of(&scene).unwrap();
    assert!(!svg.contains("NaN") && !svg.contains("inf") && !svg.contains('\u{7}'));
}

#[test]
fn sizes_adapt_to_the_map_and_the_episode() {
    for (width, height, agents, frames) in
        [(1, 1, 1, 1), (3000, 1, 3, 2), (300, 200, 40, 3), (5, 5, 0, 2), (3, 48, 2, 700)]
    {
        let view = |f: usize, a: usize| AgentView {
            row: (a + f) % height,
            column: (a * 7) % width,
            target: (height - 1, width - 1),
            active: true,
            attention: vec![1.0 / agents as f32; agents],
            ..AgentView::default()
        };
        let frames: Vec<Frame> = (0..frames)
            .map(|f| Frame {
                agents: (0..agents).map(|a| view(f, a)).collect(),
                caption: "long ".repeat(f % 50),
            })
            .collect();
        let count = frames.len();
        let scene = Scene { width, height, obstacles: vec![false; width * height], frames };
        let (w, h, pictures) = decode(&gif_of(&scene).unwrap());
        assert!((240..=984).contains(&w) && (48..=1020).contains(&h), "{width} x {height} became {w} x {h}");
        assert!(pictures.len() >= count.min(512), "{} pictures of {count} states", pictures.len());
        assert!(svg_of(&scene).unwrap().ends_with("</svg>\n"));
    }
}

#[test]
fn a_picture_that_cannot_be_written_is_an_error_with_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let error = write_gif(&folder.path().join("no/such/episode.gif"), &sample()).unwrap_err();
    assert!(matches!(error, Error::Io { .. }) && error.to_string().contains("episode.gif"), "{error}");
}
