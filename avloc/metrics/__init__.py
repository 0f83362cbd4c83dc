"""Scoring: segments, frames, recordings and false alarms, under named protocols. No torch."""

from avloc.metrics.alarms import Alarms, false_alarms, poisson_upper
from avloc.metrics.average_precision import average_precision
from avloc.metrics.average_recall import average_recall
from avloc.metrics.bootstrap import bootstrap_intervals
from avloc.metrics.evaluate import evaluate
from avloc.metrics.frames import FrameScores, frame_auc, pool_frames
from avloc.metrics.matching import Matches, match
from avloc.metrics.operating_point import OperatingPoint, choose_threshold
from avloc.metrics.prediction_files import read_predictions, read_scores
from avloc.metrics.protocols import PROTOCOLS, Protocol, get_protocol
from avloc.metrics.recording import auc, average_precision_of_items, equal_error_rate
from avloc.metrics.slices import evaluate_by, slices
from avloc.metrics.table import SegmentTable
