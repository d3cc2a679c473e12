"""A flat plate seen by a pinhole camera: plausible quads, and the homographies between quads."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

Corners = NDArray[np.float64]  # (4, 2) x, y, clockwise from the plate's own top-left

MAX_YAW, MAX_PITCH, MAX_ROLL = 45.0, 25.0, 15.0  # degrees


def rectangle(width: float, height: float) -> Corners:
    """The corners of an upright rectangle at the origin."""
    return np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float64)


def turned_quad(width: float, height: float, yaw: float, pitch: float, roll: float, distance: float) -> Corners:
    """The image of a width x height plate, centred on the origin, turned by angles in degrees.

    `distance` of the camera is in plate widths; the smaller, the stronger the perspective.
    """
    a, b, c = (math.radians(angle) for angle in (yaw, pitch, roll))
    about_y = np.array([[math.cos(a), 0, math.sin(a)], [0, 1, 0], [-math.sin(a), 0, math.cos(a)]])
    about_x = np.array([[1, 0, 0], [0, math.cos(b), -math.sin(b)], [0, math.sin(b), math.cos(b)]])
    about_z = np.array([[math.cos(c), -math.sin(c), 0], [math.sin(c), math.cos(c), 0], [0, 0, 1]])
    flat = np.zeros((4, 3))
    flat[:, :2] = rectangle(width, height) - (width / 2, height / 2)
    solid = flat @ (about_z @ about_x @ about_y).T
    depth = distance * width
    seen: Corners = solid[:, :2] * depth / (depth + solid[:, 2:])
    return seen


def random_quad(
    rng: np.random.Generator, centre: tuple[float, float], width: float, aspect: float, turn: float = 1.0
) -> Corners:
    """(4, 2) corners of a plate seen from a likely angle, about `width` pixels wide round `centre`.

    Mostly from the front; up to `turn` times 45 degrees of yaw, 25 of pitch and 15 of roll.
    """
    limits = np.array([MAX_YAW, MAX_PITCH, MAX_ROLL]) * turn
    yaw, pitch, roll = np.clip(rng.normal(0, limits * np.array([0.42, 0.42, 0.33])), -limits, limits)
    quad = turned_quad(1.0, 1.0 / aspect, float(yaw), float(pitch), float(roll), float(rng.uniform(2.5, 12.0)))
    reach = float(np.ptp(quad[:, 0]))
    return quad * (width / reach) + centre


def homography(source: Corners, target: Corners) -> NDArray[np.float64]:
    """The 3 x 3 matrix that takes the source's four corners to the target's."""
    return np.asarray(
        cv2.getPerspectiveTransform(source.astype(np.float32), target.astype(np.float32)), dtype=np.float64
    )


def through(matrix: NDArray[np.float64], points: Corners) -> Corners:
    """Points (N, 2) taken through a homography."""
    ends = np.concatenate([points, np.ones((len(points), 1))], axis=1) @ matrix.T
    moved: Corners = ends[:, :2] / ends[:, 2:]
    return moved
