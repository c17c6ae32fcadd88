declare const brand: unique symbol

/** A nominal type: `Brand<bigint, 'msat'>` is a bigint that only its constructor can make. */
export type Brand<T, Name extends string> = T & { readonly [brand]: Name }
