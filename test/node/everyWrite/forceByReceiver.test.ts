import { closesByForce } from './force.ts'

closesByForce('carol')
