import { closesByForce } from './force.ts'

closesByForce('bob')
