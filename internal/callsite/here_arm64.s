#include "textflag.h"

// func Here(o *Origin)
// Each frame holds its caller's frame pointer at 0(R29) and the return address above it.
TEXT ·Here(SB), NOSPLIT|NOFRAME, $0-8
	MOVD o+0(FP), R0
	MOVD R29, R1
	MOVD $5, R2
next:
	CBZ  R1, done
	MOVD 8(R1), R3
	MOVD R3, (R0)
	MOVD (R1), R1
	ADD  $8, R0
	SUB  $1, R2
	CBNZ R2, next
done:
	RET
