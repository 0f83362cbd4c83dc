"""Every reason code in words: what it means, and what to do about it."""

from dataclasses import dataclass

from avloc.structures import Reason


@dataclass(frozen=True, slots=True)
class Explanation:
    """``meaning`` says what happened, ``advice`` what can be done; both are whole sentences."""

    meaning: str
    advice: str


def explain(code: str | Reason) -> Explanation:
    """Look a reason up.

    Parameters
    ----------
    code : str or Reason
        One of the closed list, such as ``"truncated"``.

    Returns
    -------
    Explanation

    Raises
    ------
    ValueError
        If there is no such code.

    Examples
    --------
    >>> explain("empty").meaning
    'The file has no bytes.'
    """
    return EXPLANATIONS[Reason(code)]


EXPLANATIONS: dict[Reason, Explanation] = {
    Reason.TOO_SHORT: Explanation(
        "The recording is shorter than half a second, too little to judge.",
        "Give a longer part of the original recording.",
    ),
    Reason.NO_SPEECH: Explanation(
        "Less than half a second of speech was found, too little to judge the sound.",
        "Rely on the picture alone, if a face was found; else check that the right file was given.",
    ),
    Reason.NO_FACE: Explanation(
        "No face was found in the picture, so the picture was not judged.",
        "See the coverage: only the sound was analysed, if there is any.",
    ),
    Reason.FACE_TOO_SMALL: Explanation(
        "The faces are under 3 % of the frame, too small to see a mouth move.",
        "Give the recording in its original resolution, or a crop around the speaker.",
    ),
    Reason.FACE_STATIC: Explanation(
        "The face does not move: a still picture, or a frozen video.",
        "The picture says nothing about the speech here; rely on the sound.",
    ),
    Reason.SEVERAL_FACES: Explanation(
        "Several faces are visible, and not all of them were compared with the sound.",
        "See which face a segment names; give a crop around the speaker to have another one analysed.",
    ),
    Reason.LOW_SNR: Explanation(
        "Noise is within 5 dB of the speech over more than half of it, so traces of a forgery may be buried.",
        "Look for a cleaner copy of the recording, nearer to its origin.",
    ),
    Reason.NARROWBAND: Explanation(
        "The sound holds telephone bandwidth only, whatever its sample rate says; other thresholds apply.",
        "Give the original if the recording was not made over a telephone.",
    ),
    Reason.MUSIC: Explanation(
        "Music covers more than half of the speech, and avloc is not trained to see through it.",
        "Look for a copy without music; take an empty result as no result.",
    ),
    Reason.CROSS_TALK: Explanation(
        "Several people speak at once in more than half of the speech.",
        "Give one channel a speaker if such a recording exists.",
    ),
    Reason.HEAVY_COMPRESSION: Explanation(
        "The sound holds less than 3 kHz of bandwidth; compression has removed what a forgery would leave.",
        "Look for a copy that was compressed less, nearer to the origin.",
    ),
    Reason.SYNC_UNKNOWN: Explanation(
        "The offset between sound and picture could not be measured with any certainty.",
        "Sound and picture were compared over all offsets of up to 0.6 s; that finds less.",
    ),
    Reason.OFF_SCREEN_SPEECH: Explanation(
        "The voice does not belong to a visible face: a narrator, a dubbing or a speaker out of the frame.",
        "The mouth cannot confirm or refute this sound; see the spans of kind off_screen_speech.",
    ),
    Reason.OUT_OF_DOMAIN: Explanation(
        "The recording is unlike anything the network was trained on, so its scores mean little.",
        "Do not rely on this result; other weights may fit.",
    ),
    Reason.UNCALIBRATED: Explanation(
        "The threshold in use was not measured on recordings of this kind, or no scale of evidence fits.",
        "Use the score to rank recordings, not as a strength of evidence.",
    ),
    Reason.DECODE_ERRORS: Explanation(
        "Parts of the recording could not be decoded; they were left out of the analysis.",
        "See the coverage, and look for an undamaged copy.",
    ),
    Reason.TRUNCATED: Explanation(
        "The file ends before the recording does.",
        "Copy it again; only the part that could be decoded was analysed, if any.",
    ),
    Reason.PARTIAL_COVERAGE: Explanation(
        "Less than half of the sound or of the picture, or of both, could be analysed.",
        "See the coverage and the spans: nothing is known about the rest.",
    ),
    Reason.LIMIT_REACHED: Explanation(
        "A safety limit was hit, on size, duration, pixels, channels or expansion; the message names it.",
        "If you trust the file, raise that limit with --limit NAME=VALUE.",
    ),
    Reason.PLAYLIST_REFUSED: Explanation(
        "The file is a playlist of other files or addresses; avloc opens nothing but what it is given.",
        "Give the media files themselves.",
    ),
    Reason.EXTERNAL_REFERENCE: Explanation(
        "The file keeps its media in another file, which avloc does not open.",
        "Give a self-contained copy.",
    ),
    Reason.UNRECOGNISED: Explanation(
        "The content is of no format that avloc knows or accepts, whatever the file's name says.",
        "Check that it is a media file; convert it with a tool you trust.",
    ),
    Reason.NOT_MEDIA: Explanation(
        "The file is a document, an archive, a program or plain text, not a recording.",
        "Give a media file.",
    ),
    Reason.ENCRYPTED: Explanation(
        "The media are encrypted.",
        "Give a copy that plays without a key.",
    ),
    Reason.CODEC_UNSUPPORTED: Explanation(
        "The container was opened, but there is no decoder for its streams.",
        "Convert the streams with a tool you trust, and keep the original.",
    ),
    Reason.EMPTY: Explanation(
        "The file has no bytes.",
        "Copy it again.",
    ),
    Reason.NO_SAMPLES: Explanation(
        "The file has a header, but neither sound nor pictures.",
        "Copy it again, or check the recorder.",
    ),
    Reason.SILENT: Explanation(
        "The sound is digital silence, in this channel or throughout.",
        "Check that the right channel or file was given.",
    ),
    Reason.DECODER_CRASH: Explanation(
        "The decoder died while it read this file; avloc itself and the other recordings are not affected.",
        "The file is damaged or malicious; handle it with care.",
    ),
    Reason.DECODER_TIMEOUT: Explanation(
        "The decoder made no progress within its time limit.",
        "Try again on a machine that is less busy, or raise the limit with --limit wall_factor=VALUE.",
    ),
    Reason.NOT_FOUND: Explanation(
        "There is no such file.",
        "Check the path.",
    ),
    Reason.PERMISSION_DENIED: Explanation(
        "The file may not be read by this user.",
        "Ask for read permission.",
    ),
    Reason.CHANGED_DURING_READ: Explanation(
        "The file changed while it was read, so what was analysed is not what its hash says.",
        "Wait until the recording is complete, then run again.",
    ),
    Reason.SPECIAL_FILE: Explanation(
        "The path is a folder, a pipe, a socket or a device, not a regular file.",
        "Give the files themselves.",
    ),
    Reason.TIMESTAMPS_REPAIRED: Explanation(
        "The timestamps of the file jump, repeat or are missing; they were put in order.",
        "Times in the result may be off by the size of the jumps.",
    ),
    Reason.DRIFT: Explanation(
        "Sound and picture run at slightly different speeds.",
        "See the drift under sync; it is not counted as a forgery.",
    ),
    Reason.CONSTANT_OFFSET: Explanation(
        "The sound is early or late against the picture by the same time throughout.",
        "See the offset under sync; a constant offset is common and not counted as a forgery.",
    ),
    Reason.VARIABLE_RATE: Explanation(
        "The frames of the video are not evenly spaced; they were taken by their timestamps.",
        "Nothing to do: times are right, frame numbers of an editor may differ.",
    ),
    Reason.EXTENSION_MISMATCH: Explanation(
        "The content is of another format than the file name says; it was read by its content.",
        "Nothing to do for the analysis, but ask where the name comes from.",
    ),
    Reason.SANITISED_SAMPLES: Explanation(
        "The sound held values that are no numbers or far out of range; they were replaced.",
        "Look for an undamaged copy if the replaced part matters.",
    ),
    Reason.INTERNAL_ERROR: Explanation(
        "avloc failed in a way nobody foresaw; this is a defect of avloc, not of the recording.",
        "Please report it with the traceback from stderr.",
    ),
    Reason.OUT_OF_MEMORY: Explanation(
        "There was not enough memory to analyse this recording.",
        "Run fewer things at a time, or use a machine with more memory.",
    ),
    Reason.OUTPUT_FAILED: Explanation(
        "The result could not be written: the disk is full, or the place is read-only.",
        "Make room or name another --output; results written before are intact.",
    ),
}
