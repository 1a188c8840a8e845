use std::collections::{BTreeMap, BTreeSet};

use super::faces::{self, FaceTruth, Hair};
use super::pose::Pose;
use super::rooms::{self, RoomTruth};
use super::{Scene, Truth, write_set};
use crate::image::Picture;

fn room(truth: Truth) -> RoomTruth {
    match truth {
        Truth::Room(room) => room,
        Truth::Face(_) => unreachable!("rooms are rooms"),
    }
}

fn face(truth: Truth) -> FaceTruth {
    match truth {
        Truth::Face(face) => face,
        Truth::Room(_) => unreachable!("faces are faces"),
    }
}

/// The mean difference of two pictures' bytes.
fn difference(a: &Picture, b: &Picture) -> f64 {
    let sum: u64 = a.pixels().iter().zip(b.pixels()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / a.pixels().len() as f64
}

/// A picture `by` times smaller.
fn shrunk(picture: &Picture, by: usize) -> Picture {
    let (w, h, c) = (picture.width() / by, picture.height() / by, picture.channels());
    let mut pixels = Vec::with_capacity(w * h * c);
    for y in 0..h {
        for x in 0..w {
            for i in 0..c {
                let at = |dx, dy| picture.pixels()[((y * by + dy) * picture.width() + x * by + dx) * c + i];
                let sum: usize = (0..by * by).map(|k| usize::from(at(k % by, k / by))).sum();
                pixels.push(((sum + by * by / 2) / (by * by)) as u8);
            }
        }
    }
    Picture::new(w, h, c, pixels)
}

#[test]
fn a_picture_is_a_pure_function_of_scene_seed_and_index() {
    for scene in Scene::ALL {
        let first = scene.draw(3, 5, 32);
        assert_eq!(first, scene.draw(3, 5, 32));
        assert_ne!(first.picture, scene.draw(3, 6, 32).picture, "another index");
        assert_ne!(first.picture, scene.draw(4, 5, 32).picture, "another seed");
    }
}

#[test]
fn drawing_a_truth_again_gives_the_same_picture() {
    for index in 0..8 {
        let sample = Scene::Rooms.draw(7, index, 32);
        assert_eq!(rooms::draw(&room(sample.truth.clone()), 32), sample);
        let sample = Scene::Faces.draw(7, index, 32);
        assert_eq!(faces::draw(&face(sample.truth.clone()), 32), sample);
    }
}

#[test]
fn pictures_of_every_size_are_rgb_squares() {
    for scene in Scene::ALL {
        for size in [0, 1, 3, 16, 24, 32, 50, 64, 100, 128, 200, 256] {
            let picture = scene.draw(1, 2, size).picture;
            assert_eq!((picture.width(), picture.height(), picture.channels()), (size, size, 3));
        }
    }
}

#[test]
fn a_small_picture_has_the_content_of_a_large_one() {
    for scene in Scene::ALL {
        for index in 0..24 {
            let (small, large) = (scene.draw(2, index, 32).picture, scene.draw(2, index, 128).picture);
            let off = difference(&small, &shrunk(&large, 4));
            assert!(off < 1.0, "{scene} {index} at 32 differs by {off}");
            let off = difference(&large, &shrunk(&scene.draw(2, index, 256).picture, 2));
            assert!(off < 1.0, "{scene} {index} at 256 differs by {off}");
        }
    }
}

#[test]
fn the_window_box_is_tight_around_the_mask_and_there_is_none_without_a_window() {
    for size in [16, 64, 90] {
        for index in 0..60 {
            let sample = Scene::Rooms.draw(7, index, size);
            let truth = room(sample.truth);
            assert_eq!(sample.mask.is_some(), truth.window);
            assert_eq!(truth.window_box.is_some(), truth.window);
            let (Some(mask), Some([x0, y0, x1, y1])) = (sample.mask, truth.window_box) else { continue };
            assert_eq!((mask.width(), mask.height(), mask.channels()), (size, size, 1));
            assert!(mask.pixels().iter().all(|byte| matches!(byte, 0 | 255)));
            let white = |x: u32, y: u32| mask.pixels()[y as usize * size + x as usize] == 255;
            let all = 0..size as u32;
            for y in all.clone() {
                for x in all.clone().filter(|&x| white(x, y)) {
                    assert!((x0..x1).contains(&x) && (y0..y1).contains(&y));
                }
            }
            assert!(all.clone().any(|y| white(x0, y)) && all.clone().any(|y| white(x1 - 1, y)));
            assert!(all.clone().any(|x| white(x, y0)) && all.clone().any(|x| white(x, y1 - 1)));
        }
    }
}

#[test]
fn a_window_is_seen_where_its_mask_says() {
    for index in 0..200 {
        let truth = room(Scene::Rooms.truth(7, index));
        let with = rooms::draw(&RoomTruth { window: true, ..truth.clone() }, 64);
        let without = rooms::draw(&RoomTruth { window: false, ..truth }, 64);
        let mask = with.mask.unwrap();
        let (mut changed, mut masked) = (0, 0);
        for (i, _) in mask.pixels().iter().enumerate().filter(|(_, byte)| **byte == 255) {
            let at = i * 3..i * 3 + 3;
            let mut pairs = with.picture.pixels()[at.clone()].iter().zip(&without.picture.pixels()[at]);
            masked += 1;
            changed += usize::from(pairs.any(|(a, b)| a.abs_diff(*b) > 6));
        }
        assert!(masked >= 30, "{index}: a window is large enough to learn, {masked} pixels");
        assert!(changed * 10 >= masked * 6, "{index}: {changed} of {masked} pixels changed");
    }
}

#[test]
fn everything_in_a_room_can_be_seen() {
    for index in 0..60 {
        let truth = room(Scene::Rooms.truth(7, index));
        let none = RoomTruth { window: false, tv: false, lamp: false, picture: false, door: false, ..truth };
        let empty = rooms::draw(&none, 64).picture;
        let things = [
            ("tv", RoomTruth { tv: true, ..none.clone() }),
            ("lamp", RoomTruth { lamp: true, ..none.clone() }),
            ("picture", RoomTruth { picture: true, ..none.clone() }),
            ("door", RoomTruth { door: true, ..none.clone() }),
        ];
        for (name, truth) in things {
            let off = difference(&empty, &rooms::draw(&truth, 64).picture);
            assert!(off > 0.25, "{index}: {name} changes the picture by {off} only");
        }
    }
}

#[test]
fn a_turn_to_one_side_mirrors_the_eyes_of_a_turn_to_the_other() {
    for index in 0..20 {
        let truth = FaceTruth { x: 0.0, ..face(Scene::Faces.truth(7, index)) };
        let eyes = |turn: f32| {
            let pose = Pose::new(&FaceTruth { turn, ..truth.clone() });
            (pose.eye(-1.0), pose.eye(1.0))
        };
        for turn in [0.0, 0.3, 1.0] {
            let ((left, right), (other_left, other_right)) = (eyes(turn), eyes(-turn));
            assert!((left.0 - (1.0 - other_right.0)).abs() < 1e-5);
            assert!((right.0 - (1.0 - other_left.0)).abs() < 1e-5);
            assert_eq!((left.1, right.1), (other_right.1, other_left.1));
        }
        let middles: Vec<f32> = (-5..=5).map(|i| eyes(i as f32 / 5.0)).map(|(l, r)| l.0 + r.0).collect();
        assert!(middles.windows(2).all(|pair| pair[0] < pair[1]), "eyes move with the turn");
    }
}

#[test]
fn a_smile_shows_in_the_face_only() {
    let plain = FaceTruth {
        turn: 0.0,
        glasses: false,
        beard: false,
        hair: Hair::Short,
        x: 0.0,
        y: 0.0,
        scale: 1.0,
        ..face(Scene::Faces.truth(7, 1))
    };
    let draw = |smile| faces::draw(&FaceTruth { smile, ..plain.clone() }, 64).picture;
    let (smile, rest) = (draw(true), draw(false));
    let rows = |from: usize, to: usize| {
        let cut = |p: &Picture| Picture::new(64, to - from, 3, p.pixels()[from * 64 * 3..to * 64 * 3].to_vec());
        difference(&cut(&smile), &cut(&rest))
    };
    assert!(rows(37, 46) > 1.0, "the mouth differs by {}", rows(37, 46));
    assert!(rows(0, 20) < 0.05, "the hair differs by {}", rows(0, 20));
    assert!(rows(52, 64) < 0.05, "the clothes differ by {}", rows(52, 64));
}

/// Every attribute of a picture as numbers; a choice is one number for each of its values.
fn numbers(truth: &Truth) -> BTreeMap<String, f64> {
    let mut numbers = BTreeMap::new();
    let fields = serde_json::to_value(truth).unwrap();
    for (name, value) in fields.as_object().unwrap() {
        match value {
            serde_json::Value::Bool(yes) => numbers.insert(name.clone(), f64::from(u8::from(*yes))),
            serde_json::Value::Number(number) => numbers.insert(name.clone(), number.as_f64().unwrap()),
            serde_json::Value::String(text) if ["hair", "time", "lamp_kind", "window_at"].contains(&name.as_str()) => {
                numbers.insert(format!("{name}={text}"), 1.0)
            }
            _ => None,
        };
    }
    numbers
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len() as f64;
    values.sum::<f64>() / count
}

#[test]
fn attributes_are_as_frequent_as_promised_and_independent_of_each_other() {
    for scene in Scene::ALL {
        let all: Vec<_> = (0..2000).map(|i| numbers(&scene.truth(11, i))).collect();
        let names: BTreeSet<&String> = all.iter().flat_map(BTreeMap::keys).collect();
        // Each attribute over all pictures, less its mean.
        let mut columns: Vec<(&str, Vec<f64>)> = Vec::new();
        for name in names {
            let values: Vec<f64> = all.iter().map(|row| row.get(name).copied().unwrap_or(0.0)).collect();
            let middle = mean(values.iter().copied());
            if ["window", "tv", "lamp", "picture", "door", "smile", "glasses", "beard"].contains(&name.as_str()) {
                assert!((middle - 0.5).abs() < 0.04, "{name} is in {middle} of the pictures");
            }
            if name == "turn" {
                let square = mean(values.iter().map(|v| v * v));
                assert!(middle.abs() < 0.05 && (square - 1.0 / 3.0).abs() < 0.03, "turn: {middle}, {square}");
            }
            columns.push((name, values.iter().map(|v| v - middle).collect()));
        }
        let product = |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
        for (i, (a, left)) in columns.iter().enumerate() {
            for (b, right) in &columns[i + 1..] {
                // The values of one choice exclude each other.
                if a.contains('=') && a.split('=').next() == b.split('=').next() {
                    continue;
                }
                let correlation = product(left, right) / (product(left, left) * product(right, right)).sqrt();
                assert!(correlation.abs() < 0.1, "{a} and {b} correlate: {correlation}");
            }
        }
    }
}

#[test]
fn a_written_set_reads_back_as_what_was_drawn() {
    for scene in Scene::ALL {
        let folder = tempfile::tempdir().unwrap();
        let mut heard = Vec::new();
        write_set(scene, 6, 24, 9, folder.path(), &mut |done| heard.push(done)).unwrap();
        assert_eq!(heard, [1, 2, 3, 4, 5, 6]);
        let list = std::fs::read_to_string(folder.path().join("truth.jsonl")).unwrap();
        assert_eq!(list.lines().count(), 6);
        for (index, line) in list.lines().enumerate() {
            let sample = scene.draw(9, index as u64, 24);
            let file = format!("{index:06}.png");
            assert_eq!(serde_json::from_str::<Truth>(line).unwrap(), sample.truth);
            let fields: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(fields["file"], file.as_str());
            assert_eq!(fields["scene"], scene.to_string().as_str());
            assert_eq!((&fields["index"], &fields["seed"]), (&index.into(), &9.into()));
            assert!(fields.as_object().unwrap().values().all(|value| !value.is_object()), "lines are flat");
            assert_eq!(Picture::read(&folder.path().join(&file)).unwrap(), sample.picture);
            let mask = folder.path().join("masks").join(&file);
            assert_eq!(mask.exists(), sample.mask.is_some());
            if let Some(drawn) = sample.mask {
                assert_eq!(Picture::read(&mask).unwrap(), drawn);
            }
        }
    }
}

#[test]
fn a_set_that_cannot_be_written_names_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("taken");
    std::fs::write(&file, "a file, not a folder").unwrap();
    let message = write_set(Scene::Faces, 1, 16, 1, &file, &mut |_| {}).unwrap_err().to_string();
    assert!(message.contains("taken"), "{message}");
}

#[test]
fn scenes_have_names_that_parse_and_others_do_not() {
    for scene in Scene::ALL {
        assert_eq!(scene.to_string().parse(), Ok(scene));
        assert_eq!(serde_json::to_value(scene).unwrap(), scene.to_string().as_str());
    }
    let message = "cats".parse::<Scene>().unwrap_err().to_string();
    assert!(message.contains("rooms") && message.contains("faces") && message.contains("cats"), "{message}");
}
