#include "textflag.h"

// func Here(o *Origin)
// Each frame holds its caller's frame pointer at 0(BP) and the return address above it.
TEXT ·Here(SB), NOSPLIT|NOFRAME, $0-8
	MOVQ o+0(FP), AX
	MOVQ BP, CX
	MOVQ $5, DX
next:
	TESTQ CX, CX
	JZ   done
	MOVQ 8(CX), BX
	MOVQ BX, (AX)
	MOVQ (CX), CX
	ADDQ $8, AX
	DECQ DX
	JNZ  next
done:
	RET
