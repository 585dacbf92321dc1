// The page's data, as stored and as passed between modules. Types only: the browser never loads this file.

/** What was attached, as kept in IndexedDB: a picture, or a document or clip that lies on the server and has a picture for a face (a
 * first page, a frame). Width and height are those of the upright picture; 0: it has none. */
interface Picture {
  id: string;
  name: string;
  type: string;
  width: number;
  height: number;
  blob: Blob;
  /** Absent: a picture. */
  kind?: "pdf" | "video";
  /** Its copy on the server. */
  file?: Stored;
  pdf?: PdfChoice;
  video?: VideoChoice;
  /** Budget in pixels for each picture, page or frame of it; absent: the model's own. */
  maxPixels?: number;
}

interface Stored {
  id: string;
  bytes: number;
  /** Uploaded by this conversation, so it goes when that is deleted. */
  own: boolean;
}

interface PdfChoice {
  /** How many the document has. */
  count: number;
  /** As "1-3,7"; empty: all. */
  range: string;
  mode: "both" | "pages" | "text";
  dpi: number;
  /** Ask the model to name pages and places. */
  cite: boolean;
  encrypted: boolean;
}

interface VideoChoice {
  /** Seconds; 0: unknown. */
  duration: number;
  /** Whether this browser shows it; the model sees it either way. */
  playable: boolean;
  /** Frames a second; 0: as the model was trained. */
  fps: number;
  /** Seconds of the clip that are sent; to 0: the end. */
  from: number;
  to: number;
}

/** How far an attachment has come; absent once it can be sent. */
interface Arriving {
  state: "sending" | "waiting" | "failed" | "locked";
  sent: number;
  total: number;
  why: string;
}

/** A file as the server lists it. */
interface StoredFile {
  id: string;
  bytes: number;
  created_at: number;
  expires_at: number | null;
  filename: string;
}

/** A video that is being made searchable, or is. */
interface VideoIndex {
  id: string;
  file_id: string;
  model: string;
  status: "queued" | "in_progress" | "completed" | "failed" | "cancelled";
  segment_seconds: number;
  fps: number;
  max_pixels: number | null;
  duration: number | null;
  segments: { done: number; total: number | null };
  seconds_left: number | null;
  error: { code: string; message: string } | null;
}

/** A range of a video that a search has found. */
interface FoundRange {
  start: number;
  end: number;
  caption: string;
  score: number;
  confirmed: boolean;
  /** How it was found. */
  match?: "words" | "meaning";
}

interface UserTurn {
  id: string;
  role: "user";
  text: string;
  pictures: string[];
}

interface Failure {
  /** What happened, from the server or from the page's catalogue. */
  message: string;
  /** "offline", "http", "stream", "empty" or the server's own error code. */
  code: string;
  status: number;
}

interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
  prompt_tokens_details?: { cached_tokens?: number };
}

interface Timings {
  prompt_ms?: number;
  first_token_ms?: number;
  generate_ms?: number;
  prompt_tokens_per_s?: number;
  tokens_per_s?: number;
}

interface AnswerTurn {
  id: string;
  role: "assistant";
  model: string;
  text: string;
  reasoning: string;
  reasoningMs: number;
  toolCalls: ToolCall[];
  state: "running" | "done" | "stopped" | "failed";
  finish?: string;
  error?: Failure;
  usage?: Usage;
  timings?: Timings;
  /** Which picture the regions lie on, when the person chose another than the first. */
  picture?: string;
}

interface ToolCall {
  name: string;
  arguments: string;
}

type Turn = UserTurn | AnswerTurn;

interface Conversation {
  id: string;
  title: string;
  created: number;
  updated: number;
  turns: Turn[];
}

/** A mark on a picture. Coordinates are 0–1000 of width and height, x1 <= x2, y1 <= y2; a point has x1 = x2, y1 = y2. */
interface Region {
  index: number;
  kind: "box" | "point";
  x1: number;
  y1: number;
  x2: number;
  y2: number;
  label: string;
  /** Other scalar fields of the object, in order. */
  fields: [string, string][];
  /** 1-based number of the picture if the model named one, else 0. */
  image: number;
  /** 1-based page of a document if the model named one, else 0; and the document's name if it did. */
  page: number;
  file: string;
}

type Segment =
  | { type: "text"; text: string }
  | { type: "regions"; source: string; regions: Region[]; complete: boolean };

interface Sample {
  title: string;
  image: string;
  prompt: string;
  kind: string;
}

interface Model {
  id: string;
  weft?: {
    vision?: boolean;
    thinking?: boolean;
    context_length?: number;
    embedded?: boolean;
    about?: string;
    parameters?: number;
    samples?: Sample[];
  };
}

/** What a request would cost; see POST /v1/media/plan. */
interface Plan {
  prompt_tokens: number;
  context_length: number;
  remaining: number;
  fits: boolean;
  seconds: { total: number } | null;
  items: { type: string; tokens: number }[];
  suggestion?: { max_pixels: number; prompt_tokens: number } | null;
}

interface Progress {
  stage: "sending" | "queued" | "decode" | "vision" | "prefill" | "generate";
  done: number;
  total: number;
  unit: string;
  elapsed_ms: number;
  eta_ms: number | null;
}
