//! Films are read back: GIFs by a decoder, SVGs by a reader of XML.

use std::collections::BTreeSet;

use super::*;
use crate::env::drawing::{DISC, RING};
use crate::nn::initial::Stream;
use crate::picture::PAGE;
use crate::picture::xml::elements;

/// Where an agent is, where it is going, and whether it is still under way.
type View = ((usize, usize), (usize, usize), bool);

fn middle((row, column): (usize, usize)) -> [f32; 2] {
    [column as f32 + 0.5, row as f32 + 0.5]
}

fn drawn(width: usize, height: usize, blocked: &[bool], agents: &[View]) -> Drawing {
    let cells = Cells { columns: width, rows: height, blocked: blocked.to_vec(), role: Role::Wall };
    let mut drawing = Drawing::of_cells(cells);
    for (agent, (at, target, active)) in agents.iter().enumerate() {
        drawing.target(Role::Agent(agent), middle(*target), !active);
        if *active {
            drawing.disc(Role::Agent(agent), middle(*at), DISC);
        }
    }
    drawing
}

/// Two agents that pass each other in a corridor with a bay, and a third that jumps to new goals.
fn sample() -> Film {
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
            let corner = (0, if t < 5 { 0 } else { 8 });
            let agents =
                [(ways[0][t], ways[0][8], true), (ways[1][t], ways[1][8], t < 8), (corner, corner, true)];
            let mut drawing = drawn(width, height, &obstacles, &agents);
            for (agent, way) in ways.iter().enumerate().filter(|(agent, _)| agents[*agent].2) {
                let points = way[t..].iter().map(|cell| middle(*cell)).collect();
                drawing.add(Role::Agent(agent), Shape::Way { points });
            }
            drawing.label(Role::Goal, [4.5, 3.5], 0.5, format!("<{}>", t / 3));
            drawing.line(Role::Goal, [0.5, 3.5], [0.5 + 0.1 * t as f32, 3.5], 0.1);
            *drawing.rectangle(Role::Bad, [7.0, 2.2], [0.5 + 0.1 * t as f32, 0.5]) = 0.5;
            let weights = [0.2, 0.7 - 0.05 * t as f32, 0.1, 0.2 + 0.05 * t as f32, 0.3, 0.1, 0.2, 0.1, 0.7];
            Frame { drawing, caption: format!("step {t} <&>"), attention: weights.to_vec() }
        })
        .collect();
    Film { frames, agents: 3, stride: 1, arcs: Arcs::default() }
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

#[test]
fn the_gif_shows_walls_agents_and_movement() {
    let film = sample();
    let layout = Layout::of(&film);
    let (width, height, pictures) = decode(&film.gif().unwrap());
    assert_eq!((width, height), (layout.width, layout.height));
    assert_eq!(pictures.len(), 8 * 3 + 1, "three pictures a step and the last state");
    assert_eq!(pictures.iter().map(|p| p.1 as usize).sum::<usize>(), 8 * 24 + 150, "hundredths of a second");
    let at = |picture: &[Colour], row: usize, column: usize| {
        let [x, y] = layout.pixel(middle((row, column)));
        picture[y as usize * width + x as usize]
    };
    let (first, last) = (&pictures[0].0, &pictures[pictures.len() - 1].0);
    assert_eq!((at(first, 1, 0), at(first, 1, 1)), (OBSTACLE, AGENTS[0]));
    assert_eq!((at(first, 1, 7), at(last, 1, 6)), (AGENTS[1], AGENTS[0]));
    assert_eq!(first[0], PAGE);
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
fn every_part_leaves_a_trace_in_the_gif() {
    let whole = decode(&sample().gif().unwrap()).2;
    let changes: [fn(&mut Frame); 6] = [
        |frame| frame.attention.clear(),
        |frame| frame.caption.clear(),
        |frame| frame.drawing.marks.retain(|mark| !matches!(mark.shape, Shape::Way { .. })),
        |frame| frame.drawing.marks.retain(|mark| !matches!(mark.shape, Shape::Label { .. })),
        |frame| frame.drawing.marks.retain(|mark| !matches!(mark.shape, Shape::Line { .. })),
        |frame| frame.drawing.marks.retain(|mark| !matches!(mark.shape, Shape::Box { .. })),
    ];
    for (i, change) in changes.into_iter().enumerate() {
        let mut film = sample();
        film.frames.iter_mut().for_each(change);
        let other = decode(&film.gif().unwrap()).2;
        assert!(other.iter().zip(&whole).any(|(a, b)| a.0 != b.0), "part {i} leaves no trace");
    }
}

#[test]
fn the_svg_holds_every_part_and_its_animations_are_well_formed() {
    let elements = elements(&sample().svg().unwrap());
    let words: Vec<&str> = elements.iter().map(|e| e.text.trim()).collect();
    for part in ["step 3 <&>", "<0>", "<2>"] {
        assert!(words.contains(&part), "{part} is not in the picture");
    }
    assert_eq!(elements.iter().filter(|e| e.get("class") == "agent").count(), 3);
    for name in ["line", "circle", "rect", "path", "animateTransform"] {
        assert!(elements.iter().any(|e| e.name == name) || name == "animateTransform", "no {name}");
    }
    assert!(elements.iter().any(|e| e.get("attributeName") == "d"), "no curve moves");
    assert!(elements.iter().any(|e| !e.get("stroke-dasharray").is_empty()), "no way");
    let mut animations = 0;
    for element in elements.iter().filter(|e| e.name.starts_with("animate")) {
        let values = element.get("values").split(';').count();
        animations += 1;
        if element.get("keyTimes").is_empty() {
            assert_eq!(values, 9 + animation::HOLD, "one value a state, then those of the rest: {element:?}");
            continue;
        }
        let times: Vec<f64> = element.get("keyTimes").split(';').map(|t| t.parse().unwrap()).collect();
        assert_eq!(times.len(), values, "{element:?}");
        assert!(times[0] == 0.0 && times.windows(2).all(|w| w[0] < w[1]), "{element:?}");
        // What jumps stays as it is after its last time; what glides needs the last.
        let last = times[times.len() - 1];
        assert!(if element.get("calcMode") == "discrete" { last < 1.0 } else { last == 1.0 }, "{element:?}");
    }
    assert!(animations > 15, "{animations} animations");
}

/// What glides at first and then jumps waits for the jump where it is.
#[test]
fn gliding_and_jumping_in_one_animation() {
    let places = [0, 1, 1, 1, 7, 8];
    let frames = places.map(|column| Frame {
        drawing: drawn(9, 1, &[false; 9], &[((0, column), (0, 0), true)]),
        ..Frame::default()
    });
    let film = Film { frames: frames.to_vec(), agents: 1, stride: 1, ..Film::default() };
    let elements = elements(&film.svg().unwrap());
    let disc = elements.iter().position(|e| e.get("class") == "agent").unwrap();
    let animation = &elements[disc + 1];
    assert_eq!((animation.get("attributeName"), elements[disc].get("cx")), ("cx", "0.5"));
    assert_eq!(animation.get("values"), "0.5;1.5;1.5;1.5;7.5;8.5;8.5");
    assert_eq!(animation.get("keyTimes"), "0;0.0909;0.2727;0.3545;0.3636;0.4545;1");
}

#[test]
fn films_that_contradict_themselves_are_refused() {
    let refused = |change: &dyn Fn(&mut Film), part: &str| {
        let mut film = sample();
        change(&mut film);
        for error in [film.gif().unwrap_err(), film.svg().unwrap_err()] {
            assert!(
                matches!(error, Error::Usage(_)) && error.to_string().contains(part),
                "{error} lacks {part}"
            );
        }
    };
    let cells = |film: &mut Film, change: fn(&mut Cells)| {
        let mut cells = film.frames[2].drawing.cells.as_deref().unwrap().clone();
        change(&mut cells);
        film.frames[2].drawing.cells = Some(Arc::new(cells));
    };
    refused(&|f| f.frames.clear(), "no states");
    refused(&|f| f.frames[1].drawing.frame = [0.0; 4], "state 1 has the frame");
    refused(&|f| f.frames[1].drawing.frame[2] = f32::NAN, "state 1 has the frame");
    refused(&|f| f.frames[1].drawing.frame[3] = 1e30, "state 1 has the frame");
    refused(&|f| cells(f, |c| _ = c.blocked.pop()), "35 cells");
    refused(&|f| cells(f, |c| c.columns = usize::MAX), "state 2 has 36 cells");
    refused(&|f| cells(f, |c| (c.columns, c.blocked) = (0, Vec::new())), "state 2 has 0 cells");
    refused(&|f| _ = f.frames[3].attention.pop(), "8 attention weights of 3 agents");
    refused(&|f| f.agents = usize::MAX, "9 attention weights");
    for odd in [f32::NAN, f32::INFINITY, -1e30] {
        refused(&|f| _ = f.frames[4].drawing.disc(Role::Goal, [odd, 1.0], 1.0), "state 4 has Mark");
        refused(&|f| *f.frames[4].drawing.disc(Role::Goal, [1.0, 1.0], 1.0) = odd, "state 4 has Mark");
        refused(&|f| _ = f.frames[4].drawing.label(Role::Ink, [1.0, 1.0], odd, "a"), "state 4 has Mark");
    }
}

#[test]
fn odd_attention_and_words_do_no_harm() {
    let mut film = sample();
    film.frames[1].attention[..3].copy_from_slice(&[f32::NAN, f32::INFINITY, -1e30]);
    film.frames[2].caption = "\u{0}\u{7}\u{ffff} long é ".repeat(40);
    film.frames[3].drawing.label(Role::Good, [4.0, 2.0], 0.3, "\u{0}&amp;\"é");
    film.frames[3].drawing.label(Role::Good, [4.0, 2.0], 0.3, "");
    film.frames[3].drawing.add(Role::Agent(7), Shape::Way { points: Vec::new() });
    film.frames[5].drawing.marks.clear();
    decode(&film.gif().unwrap());
    elements(&film.svg().unwrap());
}

#[test]
fn sizes_adapt_to_the_map_and_the_episode() {
    for (width, height, agents, frames) in
        [(1, 1, 1, 1), (3000, 1, 3, 2), (300, 200, 40, 3), (5, 5, 0, 2), (3, 48, 2, 700)]
    {
        let view = |f: usize, a: usize| -> View {
            (((a + f) % height, (a * 7) % width), (height - 1, width - 1), true)
        };
        let blocked = vec![false; width * height];
        let frames: Vec<Frame> = (0..frames)
            .map(|f| Frame {
                drawing: drawn(width, height, &blocked, &(0..agents).map(|a| view(f, a)).collect::<Vec<_>>()),
                caption: "long ".repeat(f % 50),
                attention: vec![1.0 / agents as f32; agents * agents],
            })
            .collect();
        let count = frames.len();
        let film = Film { frames, agents, stride: 1, arcs: Arcs::default() };
        let (w, h, pictures) = decode(&film.gif().unwrap());
        assert!((240..=984).contains(&w) && (48..=1020).contains(&h), "{width} x {height} became {w} x {h}");
        assert!(pictures.len() >= count.min(512), "{} pictures of {count} states", pictures.len());
        elements(&film.svg().unwrap());
    }
}

/// Many agents that all attend to all: of each the strongest few, in curves that stay in the picture.
#[test]
fn curves_are_few_and_within_the_picture() {
    let seed = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(1, |d| d.as_nanos() as u64);
    let mut stream = Stream::new(seed);
    let (side, agents) = (9, 16);
    let frames: Vec<Frame> = (0..20)
        .map(|_| {
            // Mostly along the edge.
            let mut place = || [(0, stream.below(side)), (stream.below(side), side - 1)][stream.below(2)];
            let views: Vec<View> = (0..agents).map(|_| (place(), place(), true)).collect();
            let attention = (0..agents * agents).map(|_| 0.05 + stream.uniform() as f32 / 10.0).collect();
            Frame {
                drawing: drawn(side, side, &vec![false; side * side], &views),
                attention,
                ..Frame::default()
            }
        })
        .collect();
    for most in [0, 1, 3] {
        let film = Film { frames: frames.clone(), agents, stride: 1, arcs: Arcs { most, least: 0.5 } };
        for frame in &film.frames {
            let curves = film.strongest(frame);
            for reader in 0..agents {
                let own: Vec<&Curve> = curves.iter().filter(|curve| curve.reader == reader).collect();
                assert_eq!(own.len(), most, "seed {seed}");
                // Nobody else has a higher weight.
                let row = &frame.attention[reader * agents..][..agents];
                let least = own.iter().map(|c| row[c.read]).fold(f32::INFINITY, f32::min);
                let higher = (0..agents).filter(|read| *read != reader && row[*read] > least).count();
                assert!(higher < most.max(1), "seed {seed}");
            }
        }
        let elements = elements(&film.svg().unwrap());
        let curves: Vec<usize> =
            (0..elements.len()).filter(|i| elements[*i].get("class") == "attention").collect();
        assert_eq!(curves.is_empty(), most == 0);
        for i in curves {
            let moves = elements[i + 1..].iter().take_while(|e| e.name == "animate");
            let paths =
                moves.filter(|e| e.get("attributeName") == "d").flat_map(|e| e.get("values").split(';'));
            for path in paths.chain([elements[i].get("d")]) {
                let numbers = path.split(['M', 'Q', ' ']).filter(|part| !part.is_empty());
                for number in numbers.map(|part| part.parse::<f32>().unwrap()) {
                    assert!((0.0..=side as f32).contains(&number), "seed {seed}: {path}");
                }
            }
        }
    }
    // A weight below the least draws nothing, whatever room there is.
    let film = Film { frames, agents, stride: 1, arcs: Arcs { most: 16, least: 16.0 } };
    assert!(film.frames.iter().all(|frame| film.strongest(frame).is_empty()));
}

#[test]
fn a_ring_is_where_the_ring_is() {
    let mut drawing = Drawing::new(4.0, 4.0);
    drawing.ring(Role::Agent(1), [1.0, 2.0], RING, 0.0);
    assert_eq!(drawing.place(1), None, "a ring is no agent");
    drawing.disc(Role::Agent(1), [3.0, 2.0], DISC);
    assert_eq!(drawing.place(1), Some([3.0, 2.0]));
    let bounds = Shape::Ring { at: [1.0, 2.0], radius: 0.5, fill: 0.0 }.bounds();
    assert!(bounds[0] < 0.5 && bounds[0] > 0.45 && bounds[3] > 2.5, "{bounds:?}");
}
