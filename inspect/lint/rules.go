package lint

import "github.com/wsproxy/wsproxy/inspect"

// rules is the table: one entry a rule, in the order of the families.
var rules = []Rule{
	{
		ID: "unmasked-client-frame", Clause: "RFC 6455 5.1", Severity: inspect.Error, Family: "framing",
		Doc:  "A client must mask every frame it sends. A server must close the connection when it gets one that is not masked, with 1002 if it says why.",
		Mend: "Set the MASK bit, send a fresh random key and XOR the payload with it, on every frame, empty and control ones too.",
	},
	{
		ID: "masked-server-frame", Clause: "RFC 6455 5.1", Severity: inspect.Error, Family: "framing",
		Doc:  "A server must not mask the frames it sends. A client must close the connection when it gets a masked one, with 1002 if it says why.",
		Mend: "Look whether the server writes with the client half of its library.",
	},
	{
		ID: "zero-mask-key", Clause: "RFC 6455 5.3", Severity: inspect.Info, Family: "framing",
		Doc:  "The masking key is to be fresh and unpredictable for each frame, so that no script in a page chooses the bytes on the wire. With the key 00000000 the payload is sent as it is.",
		Mend: "Draw four random bytes for each frame from a strong source. Some libraries use a zero key on purpose, to save the work where nothing between can be attacked.",
	},
	{
		ID: "reserved-bit", Clause: "RFC 6455 5.2", Severity: inspect.Error, Family: "framing",
		Doc:  "RSV1, RSV2 and RSV3 must be 0 unless an extension was agreed that gives them a meaning. permessage-deflate gives one to RSV1, on the first frame of a data message only.",
		Mend: "Compress only after the server's answer has agreed on permessage-deflate, and set RSV1 on no continuation and no control frame.",
	},
	{
		ID: "reserved-opcode", Clause: "RFC 6455 5.2", Severity: inspect.Error, Family: "framing",
		Doc:  "Opcodes 3 to 7 and 0xB to 0xF are reserved. Who gets a frame with one that no extension has defined must fail the connection.",
		Mend: "Often not a frame at all: look at the frame before, whose length may be wrong, or for bytes that something wrote past the WebSocket library.",
	},
	{
		ID: "non-minimal-length", Clause: "RFC 6455 5.2", Severity: inspect.Error, Family: "framing",
		Doc:  "A payload length must be written in the fewest bytes that hold it: 7 bits up to 125, 16 bits up to 65535, 64 bits beyond. Many receivers let a longer form pass, some fail the connection.",
		Mend: "Choose the form by the length: below 126 none of the extended ones, below 65536 never the 64-bit one.",
	},
	{
		ID: "length-msb", Clause: "RFC 6455 5.2", Severity: inspect.Error, Family: "framing",
		Doc:  "The most significant bit of a 64-bit length must be 0. With it set, a receiver that reads the length as a signed number sees a negative one.",
		Mend: "Often not a length at all: look for a header written from the wrong buffer, or with the wrong byte order.",
	},
	{
		ID: "orphan-continuation", Clause: "RFC 6455 5.4", Severity: inspect.Error, Family: "framing",
		Doc:  "A continuation frame goes on with a message that a text or binary frame without FIN began. Without one there is nothing to go on with.",
		Mend: "Give the first fragment the opcode of the message and leave its FIN clear; only the later ones are continuations.",
	},
	{
		ID: "missing-continuation", Clause: "RFC 6455 5.4", Severity: inspect.Error, Family: "framing",
		Doc:  "The fragments of one message must not stand between the fragments of another. A text or binary frame before the FIN of the message before it leaves that one without an end.",
		Mend: "Look for two writers on one connection without a lock, or for a message whose last fragment lacks FIN.",
	},
	{
		ID: "fragmented-control-frame", Clause: "RFC 6455 5.5", Severity: inspect.Error, Family: "control",
		Doc:  "Close, Ping and Pong must not be fragmented: FIN must be set on each.",
		Mend: "Set FIN on every control frame, also on one that stands between the fragments of a message.",
	},
	{
		ID: "oversized-control-frame", Clause: "RFC 6455 5.5", Severity: inspect.Error, Family: "control",
		Doc:  "The payload of a control frame must not be longer than 125 bytes, so that every endpoint can take it whole at any time.",
		Mend: "Shorten the payload of the ping. A close reason has at most 123 bytes, counted in UTF-8, behind the two of the code.",
	},
	{
		ID: "invalid-utf8", Clause: "RFC 6455 8.1", Severity: inspect.Error, Family: "text",
		Doc:  "A text message and the reason of a Close frame must be valid UTF-8 as a whole; a fragment alone may end inside a character. Who finds that it is not must fail the connection, with 1007 if it says why.",
		Mend: "Send bytes that are not text as a binary message. Cut a long text or a reason between characters, and turn it to UTF-8 before it is cut.",
	},
	{
		ID: "undecodable-message", Clause: "RFC 7692 7.2.2", Severity: inspect.Warning, Family: "text",
		Doc:  "A compressed message is to inflate to the message that was sent. This one does not: its data is damaged, or it refers to earlier bytes of its direction that are not there.",
		Mend: "Compare the agreed context takeover and window size with what the sender's compressor does: it must forget its window where no takeover was agreed, and end each message with a sync flush without the last four bytes.",
	},
	{
		ID: "one-byte-close", Clause: "RFC 6455 5.5.1", Severity: inspect.Error, Family: "close",
		Doc:  "If a Close frame has a body, its first two bytes must be a status code. A body of one byte has none.",
		Mend: "Write the code as two bytes, the high one first, or leave the body out.",
	},
	{
		ID: "close-code-reserved", Clause: "RFC 6455 7.4.1", Severity: inspect.Error, Family: "close",
		Doc:  "1005, 1006 and 1015 are what a library tells its own user about an end without a code; they must not be sent. 1004 has no meaning yet.",
		Mend: "A relay that passes on an end must not pass on these numbers: for 1005 send a Close frame without a body, for 1006 and 1015 none at all.",
	},
	{
		ID: "close-code-invalid", Clause: "RFC 6455 7.4.2", Severity: inspect.Error, Family: "close",
		Doc:  "Codes below 1000 are not used and those above 4999 not defined. 1000 to 2999 belong to the protocol, and this one has no meaning in it.",
		Mend: "Choose a registered code, or one from 4000 to 4999 for an end that only your application knows. Look at the byte order: 59395 is 1000 the wrong way round.",
	},
	{
		ID: "data-after-close", Clause: "RFC 6455 5.5.1", Severity: inspect.Error, Family: "close",
		Doc:  "An endpoint must not send any more data frames after its Close frame. The other side has stopped reading them.",
		Mend: "Send what is still queued before the Close frame, or drop it; stop writers before closing.",
	},
	{
		ID: "accept-missing", Clause: "RFC 6455 4.2.2", Severity: inspect.Error, Family: "handshake",
		Doc:  "The answer to an upgrade must carry Sec-WebSocket-Accept, which proves that the server read the request as a WebSocket handshake. A client must fail the connection without it.",
		Mend: "Look for something in front of the server that answers 101 by itself, or that drops headers it does not know.",
	},
	{
		ID: "accept-wrong", Clause: "RFC 6455 4.2.2", Severity: inspect.Error, Family: "handshake",
		Doc:  "Sec-WebSocket-Accept must be the base64 of the SHA-1 of the request's Sec-WebSocket-Key followed by 258EAFA5-E914-47DA-95CA-C5AB0DC85B11. A client must fail the connection on any other.",
		Mend: "Take the key as the text it is, without decoding it and without the white space around it. Look for a cached answer.",
	},
	{
		ID: "subprotocol-not-offered", Clause: "RFC 6455 4.1", Severity: inspect.Error, Family: "handshake",
		Doc:  "A server may choose one of the subprotocols that the client offers, or none. A client must fail the connection on any other choice.",
		Mend: "Answer with exactly one of the offered names, in the same letters, or leave Sec-WebSocket-Protocol out.",
	},
	{
		ID: "extension-not-offered", Clause: "RFC 6455 4.1", Severity: inspect.Error, Family: "handshake",
		Doc:  "A server may agree on extensions, and on parameters of them, only if the client offers them. A client must fail the connection on any other answer.",
		Mend: "Answer only to the extensions of the request; client_max_window_bits only where the offer has it.",
	},
}
