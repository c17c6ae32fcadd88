// The entry of the build with assertions: everything that the module exports, and its parts, for the tests that take them one by one.
export * from './index';
export { feIsZero, feInverse, feInverseVar, feNormalize, feSqrt, feThreeHalves, feZeroMask } from './field';
export { feMul, feMulSub, feSqr, feSqrSub, feSqrSub2, feSqrSubSub2 } from './fieldMul';
export { glvSplit } from './glv';
export { pointAddComplete, pointAddVar, pointDouble, pointToAffine } from './point';
export { scAdd, scHalve, scInverse, scInverseVar, scIsHighMask, scMul, scNegate, scReduce, scValidMask } from './scalar';
export { mulTwo } from './publicMul';
